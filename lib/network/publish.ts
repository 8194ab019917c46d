import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

import { ConflictError, SyscallError } from '../errors.js';
import type { Fact } from '../host/job.js';
import type { PortMapping } from './ports.js';

/** The monitor's `listening` fact: a port that is published from now on. */
export function publishedPort(fact: Fact): Required<PortMapping> {
  return {
    container: Number(fact['targetPort']),
    host: Number(fact['hostPort']),
    hostIp: String(fact['hostIp']),
    protocol: fact['protocol'] === 'udp' ? 'udp' : 'tcp',
  };
}

/**
 * What the failure to publish a port means to the user: a {@link ConflictError} that names the port and who has it, where
 * it is taken. Other errors pass as they are.
 *
 * @param error - What the monitor's `error` fact of stage `publish` became; its path is `address:port`.
 * @param containerOf - The name of the container that a process is the monitor of.
 */
export function explainPublish(
  call: string,
  error: SyscallError,
  containerOf: (monitor: number) => string | undefined = () => undefined,
): ConflictError | SyscallError {
  const ref = error.path ?? '';
  const port = Number(/:(\d+)$/.exec(ref)?.[1]);
  if (error.stage !== 'publish') return error;
  if (error.errno === 'EADDRINUSE') {
    const holder = portHolder(port, containerOf);
    return new ConflictError({
      call,
      kind: 'port',
      ref,
      reason: holder === undefined ? 'is in use' : `is in use by ${holder}`,
      usedBy: holder === undefined ? [] : [holder],
      remedy: 'Choose another port, or 0 for any that is free',
      cause: error,
    });
  }
  const remedy = remedies[error.errno];
  if (remedy === undefined) return error;
  const { stage, syscall, errno } = error;
  return new SyscallError({ call, stage, syscall, errno, path: ref, remedy, cause: error });
}

const remedies: Readonly<Record<string, string>> = {
  EACCES: 'Ports below net.ipv4.ip_unprivileged_port_start need root or CAP_NET_BIND_SERVICE: choose a higher one',
  EADDRNOTAVAIL: 'No device of this host has that address: choose another one, or leave it out',
  EPROTONOSUPPORT: 'Only TCP ports can be published',
};

/**
 * Who has a port, as far as this user may know: `process 812 (nginx)`, or `container web`. Slow; for messages.
 *
 * @param containerOf - The name of the container that a process is the monitor of.
 */
export function portHolder(
  port: number,
  containerOf: (monitor: number) => string | undefined = () => undefined,
): string | undefined {
  const sockets = new Set(['tcp', 'tcp6', 'udp', 'udp6'].flatMap(table => listeners(table, port)));
  if (sockets.size === 0) return undefined;
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const found = readdirSync(`/proc/${pid}/fd`).some(fd => sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
      const container = found ? containerOf(Number(pid)) : undefined;
      if (container !== undefined) return `container ${container}`;
      if (found) return `process ${pid} (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()})`;
    } catch {
      // It has ended, or is not ours to look into: then it stays unnamed.
    }
  }
  return undefined;
}

/** Sockets in state LISTEN on the port, or for UDP without a peer, as links in /proc name them. See proc_net_tcp in the kernel's documentation. */
function listeners(table: string, port: number): string[] {
  const wanted = table.startsWith('udp') ? '07' : '0A';
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  let text: string;
  try {
    text = readFileSync(`/proc/net/${table}`, 'latin1');
  } catch {
    return []; // A kernel without IPv6 has no such table.
  }
  return text.split('\n').flatMap(line => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    return local.endsWith(`:${hex}`) && state === wanted ? [`socket:[${inode}]`] : [];
  });
}
