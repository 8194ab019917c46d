import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

import { errorCode, NotFoundError } from '../errors.js';

/** What TLS needs besides what every client knows; PEM. */
export interface TlsOptions {
  /** Authorities to trust besides the usual ones. */
  readonly ca?: readonly string[];
  /** Who we are, and how we prove it: as many of one as of the other. */
  readonly cert?: readonly string[];
  readonly key?: readonly string[];
}

/** Where Docker and podman keep the certificates of registries. */
export function certificateDirectories(): readonly string[] {
  const own = process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  const user = process.getuid?.() === 0 ? [] : [join(own, 'docker/certs.d'), join(own, 'containers/certs.d')];
  return [...user, '/etc/docker/certs.d', '/etc/containers/certs.d'];
}

/**
 * Reads what a registry's directory has: authorities in `*.crt`, client certificates in `*.cert`, each with its `*.key`.
 *
 * @param host - With the port, where there is one: the name of the directory.
 * @returns `undefined` when none of the directories has one for this host.
 * @throws {@link NotFoundError} when a certificate has no key, or a key no certificate: Docker refuses that, too.
 * @see {@link https://docs.docker.com/engine/security/certificates/ | Docker, certificates}
 */
export function readCertificates(host: string, directories: readonly string[]): TlsOptions | undefined {
  for (const directory of directories) {
    const place = join(directory, host);
    const names = list(place);
    if (names === undefined) continue;
    const read = (name: string): string => readFileSync(join(place, name), 'utf8');
    const ending = (end: string): string[] => names.filter(name => name.endsWith(end)).sort();
    for (const [has, wants] of [
      ['.cert', '.key'],
      ['.key', '.cert'],
    ] as const) {
      for (const name of ending(has)) {
        const other = name.slice(0, -has.length) + wants;
        if (names.includes(other)) continue;
        throw new NotFoundError({
          call: 'registry',
          kind: 'file',
          ref: join(place, other),
          remedy: `${name} is of no use without it`,
        });
      }
    }
    return { ca: ending('.crt').map(read), cert: ending('.cert').map(read), key: ending('.key').map(read) };
  }
  return undefined;
}

function list(directory: string): string[] | undefined {
  // A host is no path: `..` is none of its names.
  try {
    return readdirSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}

let usual: readonly string[] | undefined;

/** Node takes authorities in place of its own, not besides them; and then forgets those of `NODE_EXTRA_CA_CERTS`, too. */
export function withUsualAuthorities(ca: readonly string[]): string[] {
  if (usual === undefined) {
    const extra = process.env['NODE_EXTRA_CA_CERTS'];
    let more: readonly string[] = [];
    try {
      more = extra ? [readFileSync(extra, 'utf8')] : [];
    } catch {
      // Node itself has warned of it, and goes on without.
    }
    usual = [...rootCertificates, ...more];
  }
  return [...usual, ...ca];
}
