import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

import { SyscallError, UnsupportedError, errorCode } from '../errors.js';
import type { NetworkRecord } from './record.js';

type Rules = Pick<NetworkRecord, 'device' | 'subnet' | 'internal'>;

/** A table per network: adding and removing one is atomic, and needs to know nothing of the others. */
function tableOf(device: string): string {
  return `inet tscontainer-${device}`;
}

/**
 * The rules of one network: members reach what the host reaches, under the host's address; other networks of ours do not
 * reach them. An internal network has no way out or in.
 */
export function ruleset(network: Rules): string {
  const { device, subnet, internal } = network;
  const table = tableOf(device);
  // `add` before `delete` makes the delete succeed whether or not it was there; all of it is one transaction.
  return `add table ${table}
delete table ${table}
table ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${internal ? '' : `ip saddr ${subnet} oifname != "${device}" masquerade`}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${device}" oifname "${device}" accept
    ${internal ? `iifname "${device}" drop\n    oifname "${device}" drop` : `iifname "tsc*" oifname "${device}" drop`}
  }
}
`;
}

/**
 * Puts the rules of a network in place, replacing what was there.
 *
 * @throws {@link UnsupportedError} when there is no `nft` program, or the kernel has no nftables.
 */
export async function addRules(network: Rules): Promise<void> {
  await nft(ruleset(network));
  forwardPackets();
}

/** Removes the rules of a network, if there are any. */
export async function removeRules(device: string): Promise<void> {
  try {
    await nft(`add table ${tableOf(device)}\ndelete table ${tableOf(device)}\n`);
  } catch (error) {
    // Without nft there are no rules.
    if (errorCode(error) !== 'CTR_UNSUPPORTED') throw error;
  }
}

/** Without it the host passes nothing on. Left on, as Docker leaves it: others may have come to rely on it. */
function forwardPackets(): void {
  const path = '/proc/sys/net/ipv4/ip_forward';
  try {
    if (readFileSync(path, 'latin1').trim() === '0') writeFileSync(path, '1');
  } catch (error) {
    throw new UnsupportedError({
      call: 'networks.create',
      feature: 'masquerade',
      reason: `${path} is 0 and cannot be written (${errorCode(error) ?? 'unknown'}). Run sysctl -w net.ipv4.ip_forward=1 as root`,
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
