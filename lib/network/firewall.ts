import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

import { SyscallError, UnsupportedError, errorCode } from '../errors.js';
import { type Rules, ruleset, tableOf } from './firewall-rules.js';

/**
 * Puts the rules of a network in place, replacing what was there.
 *
 * @throws {@link UnsupportedError} when there is no `nft` program, or the kernel has no nftables.
 */
export async function addRules(network: Rules): Promise<void> {
  await nft(ruleset(network));
  forwardPackets('/proc/sys/net/ipv4/ip_forward');
  if (network.subnet6 !== undefined) forwardPackets('/proc/sys/net/ipv6/conf/all/forwarding');
}

/** Removes the rules of a network, if there are any. */
export async function removeRules(device: string): Promise<void> {
  try {
    await nft(`add table inet ${tableOf(device)}\ndelete table inet ${tableOf(device)}\n`);
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

async function nft(script: string): Promise<void> {
  const child = spawn('nft', ['-f', '-'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    // sbin is not in everybody's path.
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  child.stdin.on('error', () => {}); // It ended early: its status says why.
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', error => {
      if (!['ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) return reject(error);
      const reason = 'there is no nft program. Install it (Debian: apt-get install nftables)';
      reject(new UnsupportedError({ call: 'networks.create', feature: 'masquerade', reason }));
    });
    child.on('close', resolve);
  });
  if (code === 0) return;
  throw new SyscallError({
    call: 'networks.create',
    stage: 'nft',
    syscall: 'nft',
    errno: `status ${code}`,
    path: complaint.trim(),
  });
}
