import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError, LimitError, errorCode } from '../errors.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from '../store/owner.js';
import { type Block, formatAddress, parseAddress, parseBlock } from './block.js';

/** Who has an address. */
export interface Claim {
  readonly ip: string;
  readonly container: string;
  /** The name that the address leads back to. */
  readonly name: string;
  /** The process that claimed it still runs. */
  readonly claimantAlive: boolean;
}

/** An address that is ours until we give it back. */
export interface Lease {
  readonly ip: string;
  /** The link that says so: who removes it gives the address back. */
  readonly path: string;
  /** Gives it back, if nobody has done so and somebody else got it since. */
  release(): void;
}

/** Who wants one. */
export interface Claimant {
  /** Its id. */
  readonly container: string;
  readonly name: string;
}

/** The addresses of one family that a network may give away. */
export interface Pool {
  /** The network's. */
  readonly name: string;
  readonly subnet: string;
  readonly gateway: string;
  /** Addresses that nobody asks for by name come from here; the whole subnet when left out. */
  readonly range?: string | undefined;
  /** Addresses that somebody else has. */
  readonly reserved?: readonly string[] | undefined;
}

/** So many addresses are looked at before a pool counts as full. */
const TRIES_MAX = 1 << 20;

/**
 * The addresses of one network that are in use. Each is a symbolic link named by the address, whose text says which
 * process claimed it for which container: symlink(2) makes name and content in one step that only one process can win,
 * so there is no lock, and no file is ever half written. The resolver reads them for reverse names.
 *
 * They live under the run directory: an address belongs to a running container, and none survives a boot.
 */
export class Addresses {
  readonly #directory: string;
  readonly #runDirectory: string;

  constructor(runDirectory: string) {
    this.#runDirectory = runDirectory;
    this.#directory = join(runDirectory, 'addresses');
  }

  /**
   * Takes an address for a container: the wanted one, or the next one after the one that was given last, so that an
   * address rests for as long as the pool allows.
   *
   * @throws {@link ConflictError} when the wanted one is taken.
   * @throws {@link LimitError} when none is left.
   * @throws `TypeError` when the wanted one is not one of this network.
   */
  claim(call: string, pool: Pool, claimant: Claimant, wanted?: string): Lease {
    if (wanted === undefined) return this.#claimNext(call, pool, claimant);
    const ip = checkWanted(call, pool, wanted);
    const lease = this.#take(ip, claimant);
    if (lease !== undefined) return lease;
    throw new ConflictError({
      call,
      kind: 'address',
      ref: ip,
      reason: `is in use on network ${pool.name}`,
      usedBy: this.list().flatMap(claim => (claim.ip === ip ? [claim.container] : [])),
      remedy: 'Choose another one, or leave it out',
    });
  }

  /** Gives an address back, if it is that container's. */
  release(ip: string, container: string): void {
    const path = this.path(ip);
    try {
      if (readlinkSync(path).split('/')[1] === container) unlinkSync(path);
    } catch (error) {
      // Gone already: that is what was wanted.
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  /** The link of an address. */
  path(ip: string): string {
    return join(this.#directory, ip);
  }

  /** What is in use. */
  list(): Claim[] {
    return this.#names().flatMap(ip => {
      const [owner, container, , name = ''] = readLink(this.path(ip)).split('/');
      if (owner === undefined || container === undefined) return [];
      const process = parseOwner(owner);
      return [{ ip, container, name, claimantAlive: process !== undefined && isAlive(process) }];
    });
  }

  /** What nobody has any more: the container does not run, and who claimed it is not there to start it. */
  stale(isRunning: (container: string) => boolean): Claim[] {
    return this.list().filter(claim => !claim.claimantAlive && !isRunning(claim.container));
  }

  /** Releases what is {@link Addresses.stale}. */
  sweep(isRunning: (container: string) => boolean): number {
    const stale = this.stale(isRunning);
    for (const claim of stale) this.release(claim.ip, claim.container);
    return stale.length;
  }

  #claimNext(call: string, pool: Pool, claimant: Claimant): Lease {
    const { family, first, last } = bounds(pool);
    const reserved = new Set([pool.gateway, ...(pool.reserved ?? [])].map(parseAddress));
    const hint = join(this.#runDirectory, family === 4 ? 'next' : 'next6');
    const size = last - first + 1n;
    const known = readHint(hint);
    const start = known < first || known > last ? first : known;
    for (let i = 0n; i < size && i < TRIES_MAX; i++) {
      const address = first + ((start - first + i) % size);
      if (reserved.has(address)) continue;
      const lease = this.#take(formatAddress(address, family), claimant);
      if (lease === undefined) continue;
      // A hint only: two processes that write it at once lose nothing but a step.
      writeFileSync(hint, String(address + 1n > last ? first : address + 1n));
      return lease;
    }
    throw new LimitError({
      call,
      what: `network ${pool.name}`,
      reason: `all ${size} addresses of ${pool.range ?? pool.subnet} are in use`,
      limit: Number(size),
      remedy: 'Remove containers from it, or create a network with a larger subnet',
    });
  }

  #take(ip: string, { container, name }: Claimant): Lease | undefined {
    // The nonce tells this claim from a later one by the same process for the same container.
    const text = `${formatOwner(self())}/${container}/${nonce()}/${name}`;
    const path = this.path(ip);
    for (;;) {
      try {
        symlinkSync(text, path);
        return { ip, path, release: () => (readLink(path) === text ? this.release(ip, container) : undefined) };
      } catch (error) {
        if (errorCode(error) === 'EEXIST') return undefined;
        if (errorCode(error) !== 'ENOENT') throw error;
        mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      }
    }
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }
}

function readHint(path: string): bigint {
  try {
    const text = readFileSync(path, 'latin1');
    return /^\d+$/.test(text) ? BigInt(text) : 0n;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0n;
    throw error;
  }
}

/** First and last address to give away: neither the network's own nor the broadcast address. */
function bounds(pool: Pool): Block {
  const subnet = parseBlock(pool.subnet);
  const range = parseBlock(pool.range ?? pool.subnet);
  if (subnet === undefined || range === undefined)
    throw new TypeError(`network ${pool.name}: ${pool.subnet} is no subnet`);
  const [first, last] = hosts(subnet);
  return { ...range, first: range.first > first ? range.first : first, last: range.last < last ? range.last : last };
}

/** IPv6 has no broadcast address, and its first one means any router. */
function hosts({ family, bits, first, last }: Block): [bigint, bigint] {
  if (family === 6) return bits >= 127 ? [first, last] : [first + 1n, last];
  return bits >= 31 ? [first, last] : [first + 1n, last - 1n];
}

function checkWanted(call: string, pool: Pool, wanted: string): string {
  const address = parseAddress(wanted);
  const subnet = parseBlock(pool.subnet);
  if (subnet === undefined) throw new TypeError(`network ${pool.name}: ${pool.subnet} is no subnet`);
  const block = address === undefined ? undefined : parseBlock(`${wanted}/${subnet.family === 4 ? 32 : 128}`);
  if (address === undefined || block?.family !== subnet.family)
    throw new TypeError(`${call}: ip: ${JSON.stringify(wanted)} is no IPv${subnet.family} address`);
  if (address < subnet.first || address > subnet.last)
    throw new TypeError(`${call}: ip: ${wanted} is outside of ${pool.subnet}, the subnet of network ${pool.name}`);
  const [first, last] = hosts(subnet);
  if (address === parseAddress(pool.gateway) || address < first || address > last)
    throw new TypeError(`${call}: ip: ${wanted} is the gateway, network or broadcast address of network ${pool.name}`);
  return formatAddress(address, subnet.family);
}

/** The text of a link, `''` when it has gone. */
function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
