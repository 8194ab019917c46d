import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

import { errorCode } from '../errors.js';

/**
 * What lets our packets through beside Docker. It drops all forwarded packets that it knows nothing of, and a rule of
 * ours elsewhere cannot undo a drop; but it has a chain for rules of others, which it neither reads nor clears.
 */
const rules = [
  ['-i', 'tsc+', '-j', 'ACCEPT'],
  ['-o', 'tsc+', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'],
  // Published ports. What comes without that is dropped by the network's own table.
  ['-o', 'tsc+', '-m', 'conntrack', '--ctstate', 'DNAT', '-j', 'ACCEPT'],
] as const;

const chain = 'DOCKER-USER';

/** Asks Docker's firewall, where there is one, to let containers' packets pass. Does nothing where it does already. */
export async function passDocker(): Promise<void> {
  // Docker's bridge stays for as long as its rules do, whether or not it runs.
  if (!existsSync('/sys/class/net/docker0') || !(await iptables('-S', chain))) return;
  for (const rule of rules) if (!(await iptables('-C', chain, ...rule))) await iptables('-I', chain, ...rule);
}

/** Takes the rules away when none of our bridges is left. */
export async function leaveDocker(): Promise<void> {
  if (!existsSync('/sys/class/net/docker0') || ourDevices().length > 0) return;
  for (const rule of rules) {
    // Two processes at once may have put it there twice.
    for (let times = 0; times < 4 && (await iptables('-D', chain, ...rule)); times++);
  }
}

function ourDevices(): string[] {
  return readdirSync('/sys/class/net').filter(name => /^tsc(0|[0-9a-f]{12})$/.test(name));
}

/** Runs iptables; whether it succeeded. Without the program there is nothing of Docker's to pass. */
async function iptables(...args: readonly string[]): Promise<boolean> {
  const child = spawn('iptables', ['-w', '5', ...args], {
    stdio: 'ignore',
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
  return new Promise((resolve, reject) => {
    child.on('error', error => (errorCode(error) === 'ENOENT' ? resolve(false) : reject(error)));
    child.on('close', code => resolve(code === 0));
  });
}
