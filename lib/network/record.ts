import type { Records } from '../store/records.js';
import type { AbortOptions, EngineEvents, Labels } from '../types.js';

/** What the store knows of a network: `networks/<id>/record.json`. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly driver: 'bridge';
  /** The bridge's device on the host. */
  readonly device: string;
  /** `172.18.0.0/16`. */
  readonly subnet: string;
  readonly gateway: string;
  /** Addresses that are not given by name come from here; the whole subnet when left out. */
  readonly range?: string;
  /** `fd00:1::/64`; only where it has IPv6. */
  readonly subnet6?: string;
  readonly gateway6?: string;
  readonly range6?: string;
  /** Addresses that somebody else has, by what they are for. */
  readonly reserved?: Readonly<Record<string, string>>;
  /** `false`: its members do not reach each other. */
  readonly icc?: boolean;
  /** `false`: members keep their addresses on the way out. */
  readonly masquerade?: boolean;
  /** Where ports are published that name no address. */
  readonly hostBinding?: string;
  /** What interfaces inside are called, before their number: `eth`. */
  readonly interfacePrefix?: string;
  /** As they were given, for whoever asks. */
  readonly options?: Readonly<Record<string, string>>;
  /** The subnet was our choice: if the host comes to use it otherwise, another one is chosen. */
  readonly chosen: boolean;
  /** No way out, and no default route. */
  readonly internal: boolean;
  /** Bytes; the kernel's default when left out. */
  readonly mtu?: number;
  readonly labels: Labels;
  /** RFC 3339. */
  readonly createdAt: string;
  /** The process it must not outlive, as `formatOwner` wrote it. */
  readonly owner?: string;
}

/** The parts of the store that networks live in. */
export interface NetworkStore {
  readonly root: string;
  readonly runRoot: string;
  records(kind: 'networks'): Records<NetworkRecord>;
  lock(name: string, options?: AbortOptions): Promise<AsyncDisposable>;
}

/** How a collection tells the engine what happened. */
export type Emit = <K extends keyof EngineEvents>(type: K, event: EngineEvents[K][0]) => void;

/** The network that containers join when they name none. */
export const defaultNetwork = 'bridge';

/** Names that no user's network may have: the default network, and modes of a container. */
export const reservedNames: readonly string[] = ['bridge', 'none', 'host', 'default'];

/** By this the helper knows a device of ours, whatever its name. */
export function deviceAlias(record: Pick<NetworkRecord, 'id'>): string {
  return `tscontainer:${record.id}`;
}

/** Members of the default network do not find each other by name, as Docker's. */
export function hasNames(record: Pick<NetworkRecord, 'name'>): boolean {
  return record.name !== defaultNetwork;
}
