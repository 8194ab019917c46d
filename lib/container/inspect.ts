import type { ExitStatus } from '../errors.js';
import type { PortMapping } from '../network/ports.js';
import type { Digest, Labels } from '../types.js';
import type { Health, HealthResult, HealthStatus } from './health.js';

import type { ContainerRecord } from './record.js';
import type { State } from './state.js';
import { statusOf } from './status.js';

/** Docker's words for where a container stands. */
export type ContainerState = State['name'];

/** A frozen copy of what is known at one moment. */
export interface ContainerInfo {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Unique in the store. */
  readonly name: string;
  /** As Docker has them: `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
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
  /** How often its monitor has started it again since it was last started by a call. */
  readonly restartCount: number;
  /** What its health check says; `none` when it has none. */
  readonly health: HealthStatus;
  /** The last five results of its health check, oldest first. */
  readonly healthLog: readonly HealthResult[];
  /** How often its health check has failed in a row. */
  readonly failingStreak: number;
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
        readonly ip6: string | undefined;
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
  readonly ip6?: string;
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
  health: Health,
): ContainerInfo {
  const ended = state.name === 'exited' || state.name === 'restarting' ? state.ended : undefined;
  const started = state.name === 'running' || state.name === 'paused' ? state.started : undefined;
  return Object.freeze({
    id: record.id,
    name: record.name,
    state: state.name,
    image: record.image.id,
    imageRef: record.image.ref,
    command: [...record.config.entrypoint, ...record.config.command],
    createdAt: new Date(record.createdAt),
    startedAt: started?.startedAt ?? ended?.startedAt,
    finishedAt: ended?.finishedAt,
    pid: started?.pid,
    exit: state.name === 'exited' || state.name === 'restarting' ? statusOf(ended) : undefined,
    restartCount: started?.restarts ?? ended?.restarts ?? 0,
    health: health.status,
    healthLog: health.log,
    failingStreak: health.failingStreak,
    labels: record.labels,
    ports,
    networks: Object.fromEntries(
      endpoints.map(({ networkName, ip, ip6, mac, gateway, aliases }) => [
        networkName,
        { ip, ip6, mac, gateway, aliases },
      ]),
    ),
    lifetime: record.lifetime,
  });
}
