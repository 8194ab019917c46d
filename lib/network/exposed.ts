import { checkPorts, parsePorts, type PortMapping, type PortSpec } from './ports.js';

/** What is said of a container's ports. */
export interface PortOptions {
  readonly ports?: readonly (number | string | PortMapping)[];
  readonly expose?: readonly (number | string)[];
  readonly publishAll?: boolean;
}

/** Which ports are published, and which are offered. */
export interface ResolvedPorts {
  readonly ports: readonly PortSpec[];
  /** `80/tcp`, in order. */
  readonly exposed: readonly string[];
}

/**
 * Joins the ports to publish with those that the image and the user expose. What is published is exposed, too; with
 * `publishAll`, what is exposed and not published yet is published at a free port.
 *
 * @param image - The image's, as `80/tcp` or `8000-8010/tcp`.
 * @throws {@link ParseError} or `TypeError` naming what is malformed.
 */
export function resolvePorts(call: string, options: PortOptions, image: readonly string[]): ResolvedPorts {
  const published = checkPorts(call, options.ports ?? []);
  const offered = [...image, ...(options.expose ?? [])].flatMap(each => parsePorts(String(each), `${call}: expose`));
  const exposed = new Set([...offered, ...published].map(portName));
  if (options.publishAll !== true) return { ports: published, exposed: [...exposed].sort(byPort) };
  const known = new Set(published.map(portName));
  const others = offered.filter(port => !known.has(portName(port)) && known.add(portName(port)));
  return {
    ports: [...published, ...others.map(port => ({ ...port, host: [0, 0] as const, hostIp: '' }))],
    exposed: [...exposed].sort(byPort),
  };
}

/** `80/tcp`. */
export function portName({ container, protocol }: Pick<PortSpec, 'container' | 'protocol'>): string {
  return `${container}/${protocol}`;
}

function byPort(a: string, b: string): number {
  return parseInt(a, 10) - parseInt(b, 10) || (a < b ? -1 : 1);
}
