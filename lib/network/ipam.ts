import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError, LimitError, errorCode } from '../errors.js';
import { formatOwner, isAlive, parseOwner, self } from '../store/owner.js';
import { contains, formatIp, parseCidr, parseIp } from './cidr.js';
import type { NetworkRecord } from './record.js';

/** Who has an address. */
export interface Claim {
  readonly ip: string;
  readonly container: string;
  /** The process that claimed it still runs. */
  readonly claimantAlive: boolean;
}

type Pool = Pick<NetworkRecord, 'id' | 'name' | 'subnet' | 'gateway' | 'range'>;

/**
 * The addresses of one network that are in use. Each is a symbolic link named by the address, whose text says which
 * process claimed it for which container: symlink(2) makes name and content in one step that only one process can win,
 * so there is no lock, and no file is ever half written.
 *
 * They live under the run directory: an address belongs to a running container, and none survives a boot.
 */
export class Addresses {
  readonly #directory: string;
  readonly #hint: string;

  constructor(runDirectory: string) {
    this.#directory = join(runDirectory, 'addresses');
    this.#hint = join(runDirectory, 'next');
  }

  /**
   * Takes an address for a container: the wanted one, or the next one after the one that was given last, so that an
   * address rests for as long as the pool allows.
   *
   * @throws {@link ConflictError} when the wanted one is taken.
   * @throws {@link LimitError} when none is left.
   * @throws `TypeError` when the wanted one is not one of this network.
   */
  claim(call: string, pool: Pool, container: string, wanted?: string): string {
    if (wanted === undefined) return this.#claimNext(call, pool, container);
    checkWanted(call, pool, wanted);
    if (this.#take(wanted, container)) return wanted;
    throw new ConflictError({
      call,
      kind: 'address',
      ref: wanted,
      reason: `is in use on network ${pool.name}`,
      usedBy: this.list().flatMap(claim => (claim.ip === wanted ? [claim.container] : [])),
      remedy: 'Choose another one, or leave it out',
    });
  }

  /** Gives an address back, if it is that container's. */
  release(ip: string, container: string): void {
    const path = join(this.#directory, ip);
    try {
      if (readlinkSync(path).split('/')[1] === container) unlinkSync(path);
    } catch (error) {
      // Gone already: that is what was wanted.
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  /** What is in use. */
  list(): Claim[] {
    return this.#names().flatMap(ip => {
      const [owner, container] = readLink(join(this.#directory, ip)).split('/');
      if (owner === undefined || container === undefined) return [];
      const process = parseOwner(owner);
      return [{ ip, container, claimantAlive: process !== undefined && isAlive(process) }];
    });
  }

  /** Releases what nobody has any more: the container does not run, and who claimed it is not there to start it. */
  sweep(isRunning: (container: string) => boolean): number {
    const stale = this.list().filter(claim => !claim.claimantAlive && !isRunning(claim.container));
    for (const claim of stale) this.release(claim.ip, claim.container);
    return stale.length;
  }

  #claimNext(call: string, pool: Pool, container: string): string {
    const [first, last] = bounds(pool);
    const gateway = parseIp(pool.gateway);
    const size = last - first + 1;
    const start = Math.min(Math.max(this.#next(), first), last);
    for (let i = 0; i < size; i++) {
      const address = first + ((start - first + i) % size);
      if (address === gateway) continue;
      const ip = formatIp(address);
      if (!this.#take(ip, container)) continue;
      // A hint only: two processes that write it at once lose nothing but a step.
      writeFileSync(this.#hint, String(address + 1 > last ? first : address + 1));
      return ip;
    }
    throw new LimitError({
      call,
      what: `network ${pool.name}`,
      reason: `all ${size} addresses of ${pool.range ?? pool.subnet} are in use`,
      limit: size,
      remedy: 'Remove containers from it, or create a network with a larger subnet',
    });
  }

  #next(): number {
    try {
      return Number(readFileSync(this.#hint, 'latin1')) || 0;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return 0;
      throw error;
    }
  }

  #take(ip: string, container: string): boolean {
    const path = join(this.#directory, ip);
    const text = `${formatOwner(self())}/${container}`;
    for (;;) {
      try {
        symlinkSync(text, path);
        return true;
      } catch (error) {
        if (errorCode(error) === 'EEXIST') return false;
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

/** First and last address to give away: neither the network's own nor the broadcast address. */
function bounds(pool: Pool): [number, number] {
  const subnet = parseCidr(pool.subnet);
  const range = parseCidr(pool.range ?? pool.subnet);
  if (subnet === undefined || range === undefined)
    throw new TypeError(`network ${pool.name}: ${pool.subnet} is no subnet`);
  if (subnet.bits >= 31) return [range.first, range.last];
  return [Math.max(range.first, subnet.first + 1), Math.min(range.last, subnet.last - 1)];
}

function checkWanted(call: string, pool: Pool, wanted: string): void {
  const address = parseIp(wanted);
  const subnet = parseCidr(pool.subnet);
  if (address === undefined) throw new TypeError(`${call}: ip: ${JSON.stringify(wanted)} is no IPv4 address`);
  if (subnet === undefined || !contains(subnet, address))
    throw new TypeError(`${call}: ip: ${wanted} is outside of ${pool.subnet}, the subnet of network ${pool.name}`);
  if (wanted === pool.gateway || (subnet.bits < 31 && (address === subnet.first || address === subnet.last)))
    throw new TypeError(`${call}: ip: ${wanted} is the gateway, network or broadcast address of network ${pool.name}`);
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
