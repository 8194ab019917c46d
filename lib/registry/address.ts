/** Where Docker Hub's registry lives, whatever people call it. */
const HUB = 'registry-1.docker.io';
const hubNames = new Set(['docker.io', 'index.docker.io', HUB]);

/** Whether it is Docker Hub, by any of its names. */
export function isHub(host: string): boolean {
  return hubNames.has(host);
}

/**
 * The root of a registry's API.
 *
 * @param insecure - Plain HTTP; left out, that is for loopback only, as in Docker.
 * @throws `TypeError` when `host` is not `name`, `name:port` or an address.
 */
export function registryUrl(host: string, insecure?: boolean): URL {
  const plausible = /^[^\s/@?#\\]+$/.test(host) && URL.canParse(`https://${host}/`);
  if (!plausible) throw new TypeError(`Registry: expected host or host:port, got ${JSON.stringify(host)}`);
  const url = new URL(`https://${isHub(host) ? HUB : host}/`);
  return (insecure ?? isLoopback(url.hostname)) ? new URL(`http://${host}/`) : url;
}

/** Whether traffic to it never leaves this machine. `hostname` as `URL` gives it. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
