import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { Endpoint } from '../network/attach.js';
import type { PortMapping } from '../network/ports.js';
import { writeFileAtomic } from '../util/files.js';

/** What a container has of the network while it runs; kept in its run directory for other processes. */
export interface NetworkState {
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly Required<PortMapping>[];
  /** Variables of linked containers, for who joins it later. */
  readonly env?: readonly string[];
  /** What its monitor unlinks at its end. */
  readonly leave?: readonly string[];
}

const NAME = 'network.json';

/** What it has of the network while it runs; nothing when it does not. */
export function readNetwork(runDir: string): NetworkState {
  try {
    return JSON.parse(readFileSync(join(runDir, NAME), 'utf8')) as NetworkState;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { endpoints: [], ports: [] };
    throw error;
  }
}

export function writeNetwork(runDir: string, network: NetworkState): void {
  try {
    writeFileAtomic(join(runDir, NAME), JSON.stringify(network), { durable: false });
  } catch (error) {
    // It has ended already, and its run directory with it.
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
