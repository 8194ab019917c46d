import type { AbortOptions, Labels } from '../types.js';
import type { JoinRequest } from './members.js';
import type { NetworkRecord } from './record.js';

/** A frozen copy of what is known of a network at one moment. */
export interface NetworkInfo {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Unique in the store. */
  readonly name: string;
  /** How it is made: a bridge on the host. */
  readonly driver: 'bridge';
  /** `172.18.0.0/16`. */
  readonly subnet: string;
  /** The bridge's own address. */
  readonly gateway: string;
  /** The part of the subnet that addresses are given from, where it is not all of it. */
  readonly range: string | undefined;
  /** `fd00:1::/64`, where it has IPv6. */
  readonly subnet6: string | undefined;
  /** The bridge's own IPv6 address. */
  readonly gateway6: string | undefined;
  /** The part of the IPv6 subnet that addresses are given from, where it is not all of it. */
  readonly range6: string | undefined;
  /** Addresses that are not given away, by what they are for. */
  readonly reserved: Readonly<Record<string, string>>;
  /** What else was said when it was made. */
  readonly options: Readonly<Record<string, string>>;
  /** The device on the host. */
  readonly device: string;
  /** Without a way out. */
  readonly internal: boolean;
  /** As they were given. */
  readonly labels: Labels;
  /** When it was made. */
  readonly createdAt: Date;
  /** The addresses of the containers that run on it, by container id. */
  readonly containers: Readonly<Record<string, string>>;
}

/** A container, by its handle, its name or its id. */
export type ContainerRef = string | { readonly id: string };

/** How a container joins. */
export interface ConnectOptions extends AbortOptions, Omit<JoinRequest, 'network'> {}

/** @internal What a handle asks its collection for. */
export interface NetworkHome {
  inspect(id: string, call: string): NetworkInfo;
  remove(id: string, call: string, signal: AbortSignal | undefined): Promise<void>;
  connect(id: string, container: ContainerRef, options: ConnectOptions): Promise<void>;
  disconnect(id: string, container: ContainerRef, signal: AbortSignal | undefined): Promise<void>;
  /** Removes without ever failing: what is left is reported as a warning. */
  dispose(id: string): Promise<void>;
}

/** A bridge network: containers on it reach each other, and through the host what the host reaches. */
export class Network {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Unique in the store. */
  readonly name: string;
  readonly #home: NetworkHome;

  /** @internal */
  constructor(record: Pick<NetworkRecord, 'id' | 'name'>, home: NetworkHome) {
    this.id = record.id;
    this.name = record.name;
    this.#home = home;
  }

  /**
   * @returns What is known of it now, as a frozen copy.
   * @throws {@link NotFoundError} when it was removed.
   */
  async inspect(options: AbortOptions = {}): Promise<NetworkInfo> {
    options.signal?.throwIfAborted();
    return this.#home.inspect(this.id, 'network.inspect');
  }

  /**
   * Puts a container on this network, besides those that it is on: at once if it runs, and at every start from now on.
   *
   * @throws {@link ConflictError} when it is on it already, or has no networks of its own, or an address is taken.
   * @throws {@link NotFoundError} when there is no such container.
   */
  async connect(container: ContainerRef, options: ConnectOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    await this.#home.connect(this.id, container, options);
  }

  /**
   * Takes a container off this network.
   *
   * @throws {@link NotFoundError} when it is not on it.
   */
  async disconnect(container: ContainerRef, options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    await this.#home.disconnect(this.id, container, options.signal);
  }

  /**
   * Removes the network, its bridge and its firewall rules.
   *
   * @throws {@link ConflictError} while containers run on it, with their ids in `usedBy`; and for the default network.
   */
  async remove(options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    await this.#home.remove(this.id, 'network.remove', options.signal);
  }
}

/** @internal The handle that `create` returns. */
export class OwnedNetwork extends Network implements AsyncDisposable {
  readonly #dispose: () => Promise<void>;

  constructor(record: Pick<NetworkRecord, 'id' | 'name'>, home: NetworkHome) {
    super(record, home);
    this.#dispose = () => home.dispose(record.id);
  }

  /** Removes it. Never rejects: what could not be removed becomes a warning and stays for `prune`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}
