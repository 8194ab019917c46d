import { isIPv6 } from 'node:net';

import type { PortMapping } from '../network/ports.js';

/** `0.0.0.0:8080` and `[::]:8080`: the addresses of the host that lead to a port. */
export function hostAddresses({ host, hostIp }: Required<PortMapping>): string[] {
  return addressesOf(hostIp).map(ip => joinAddress(ip, String(host)));
}

/** As the network layer writes "all of them", one by one. */
export function addressesOf(hostIp: string): string[] {
  return hostIp === '' ? ['0.0.0.0', '::'] : hostIp.split(',');
}

function joinAddress(ip: string, port: string): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

interface Shown {
  readonly port: number;
  readonly protocol: string;
  /** Absent: offered, and not published. */
  readonly outside?: { readonly ip: string; readonly port: number };
}

/**
 * The column of `ps`: `90/tcp, 0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8080->80/tcp`. As Docker, neighbours that keep
 * their number are one range, and those that have another one outside come last.
 */
export function formatPorts(ports: readonly Required<PortMapping>[], exposed: readonly string[] = []): string {
  const groups = new Map<string, { readonly ip: string; readonly protocol: string; first: number; last: number }>();
  const ranges: string[] = [];
  const mapped: string[] = [];
  for (const { port, protocol, outside } of shown(ports, exposed)) {
    if (outside !== undefined && outside.port !== port) {
      mapped.push(`${joinAddress(outside.ip, String(outside.port))}->${port}/${protocol}`);
      continue;
    }
    const ip = outside?.ip ?? '';
    const key = `${ip}/${protocol}`;
    const group = groups.get(key);
    if (group !== undefined && group.last + 1 === port) {
      group.last = port;
      continue;
    }
    if (group !== undefined) ranges.push(rangeText(group));
    groups.set(key, { ip, protocol, first: port, last: port });
  }
  return [...ranges, ...Array.from(groups.values(), rangeText), ...mapped].join(', ');
}

function shown(ports: readonly Required<PortMapping>[], exposed: readonly string[]): Shown[] {
  const published = new Set(ports.map(({ container, protocol }) => `${container}/${protocol}`));
  const offered = exposed
    .filter(name => !published.has(name))
    .map(name => {
      const [port = '', protocol = ''] = name.split('/');
      return { port: Number(port), protocol };
    });
  const bound = ports.flatMap(({ container, protocol, host, hostIp }) =>
    addressesOf(hostIp).map(ip => ({ port: container, protocol, outside: { ip, port: host } })),
  );
  return [...offered, ...bound].sort(inOrder);
}

function inOrder(a: Shown, b: Shown): number {
  const [one, other] = [a.outside?.ip ?? '', b.outside?.ip ?? ''];
  if (a.port !== b.port) return a.port - b.port;
  if (one !== other) return one < other ? -1 : 1;
  const difference = (a.outside?.port ?? 0) - (b.outside?.port ?? 0);
  return difference === 0 ? (a.protocol < b.protocol ? -1 : 1) : difference;
}

function rangeText({
  ip,
  protocol,
  first,
  last,
}: {
  readonly ip: string;
  readonly protocol: string;
  readonly first: number;
  readonly last: number;
}): string {
  const range = first === last ? String(first) : `${first}-${last}`;
  return `${ip === '' ? range : `${joinAddress(ip, range)}->${range}`}/${protocol}`;
}
