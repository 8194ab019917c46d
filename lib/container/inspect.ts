import type { ExitStatus } from '../errors.js';
import type { PortMapping } from '../network/ports.js';
import type { Digest, Labels } from '../types.js';
import { statusOf } from './live.js';
import type { ContainerRecord } from './record.js';
import type { State } from './state.js';

/** Docker's words for where a container stands. */
export type ContainerState = State['name'];

/** A frozen copy of what is known at one moment. */
export interface ContainerInfo {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Unique in the store. */
  readonly name: string;
  /** `created`, `running` or `exited`. */
  readonly state: ContainerState;
  /** The id of its image. */
  readonly image: Digest;
  /** The image as it was named when the container was created. */
  readonly imageRef: string;
  /** Entrypoint and command. */
  readonly command: readonly string[];
  /** When it was created. */
  readonly createdAt: Date;
  /** When it was last started. */
  readonly startedAt: Date | undefined;
  /** When it last ended. */
  readonly finishedAt: Date | undefined;
  /** The pid of its first process on the host, while it runs. */
  readonly pid: number | undefined;
  /** How it last ended. */
  readonly exit: ExitStatus | undefined;
  /** The image's and its own. */
  readonly labels: Labels;
  /** What is published while it runs, with the real host ports. */
  readonly ports: readonly Required<PortMapping>[];
  /** Its addresses, by network, while it runs. */
  readonly networks: Readonly<
    Record<
      string,
      {
        readonly ip: string;
        readonly mac: string;
        readonly gateway: string | undefined;
        readonly aliases: readonly string[];
      }
    >
  >;
  /** Whether it ends with the process that created it. */
  readonly lifetime: 'process' | 'detached';
}

/** What a container has of a network while it runs. */
export interface EndpointView {
  readonly networkName: string;
  readonly ip: string;
  readonly mac: string;
  readonly gateway?: string;
  readonly aliases: readonly string[];
}

/** Puts together what the record, the state and the network say. */
export function inspectRecord(
  record: ContainerRecord,
  state: State,
  endpoints: readonly EndpointView[],
  ports: readonly Required<PortMapping>[],
): ContainerInfo {
  const ended = state.name === 'exited' ? state.ended : undefined;
  return Object.freeze({
    id: record.id,
    name: record.name,
    state: state.name,
    image: record.image.id,
    imageRef: record.image.ref,
    command: [...record.config.entrypoint, ...record.config.command],
    createdAt: new Date(record.createdAt),
    startedAt: state.name === 'running' ? state.started.startedAt : ended?.startedAt,
    finishedAt: ended?.finishedAt,
    pid: state.name === 'running' ? state.started.pid : undefined,
    exit: state.name === 'exited' ? statusOf(ended) : undefined,
    labels: record.labels,
    ports,
    networks: Object.fromEntries(
      endpoints.map(({ networkName, ip, mac, gateway, aliases }) => [networkName, { ip, mac, gateway, aliases }]),
    ),
    lifetime: record.lifetime,
  });
}
