import { readFileSync, writeFileSync } from 'node:fs';

import { UnsupportedError, errorCode } from '../errors.js';
import { type Rules, ruleset, tableOf } from './firewall-rules.js';
import { runNft } from './nft.js';

/**
 * Puts the rules of a network in place, replacing what was there.
 *
 * @throws {@link UnsupportedError} when there is no `nft` program, or the kernel has no nftables.
 */
export async function addRules(network: Rules): Promise<void> {
  await runNft(['-f', '-'], ruleset(network));
  forwardPackets('/proc/sys/net/ipv4/ip_forward');
  if (network.subnet6 !== undefined) forwardPackets('/proc/sys/net/ipv6/conf/all/forwarding');
}

/** Removes the rules of a network, if there are any. */
export async function removeRules(device: string): Promise<void> {
  try {
    await runNft(['-f', '-'], `add table inet ${tableOf(device)}\ndelete table inet ${tableOf(device)}\n`);
  } catch (error) {
    // Without nft there are no rules.
    if (errorCode(error) !== 'CTR_UNSUPPORTED') throw error;
  }
}

/** Without it the host passes nothing on. Left on, as Docker leaves it: others may have come to rely on it. */
function forwardPackets(path: string): void {
  try {
    if (readFileSync(path, 'latin1').trim() === '0') writeFileSync(path, '1');
  } catch (error) {
    throw new UnsupportedError({
      call: 'networks.create',
      feature: 'masquerade',
      reason: `${path} is 0 and cannot be written (${errorCode(error) ?? 'unknown'}). Write 1 to it as root`,
    });
  }
}
