import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where the store is if nobody says otherwise: `/var/lib/tscontainer` for root, else `$XDG_DATA_HOME/tscontainer`. */
export function defaultRoot(): string {
  if (process.getuid?.() === 0) return '/var/lib/tscontainer';
  return join(absolute('XDG_DATA_HOME') ?? join(homedir(), '.local', 'share'), 'tscontainer');
}

/**
 * Where sockets and the like are that do not outlive a boot. Short, because the path of a Unix socket may have 108 bytes,
 * and told apart by the store.
 */
export function defaultRunRoot(root: string): string {
  const name = createHash('sha256').update(resolve(root)).digest('hex').slice(0, 12);
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return join('/run/tscontainer', name);
  const runtime = absolute('XDG_RUNTIME_DIR');
  return runtime === undefined ? join('/tmp', `tscontainer-${uid}`, name) : join(runtime, 'tscontainer', name);
}

/** The XDG specification has relative paths ignored. */
function absolute(variable: string): string | undefined {
  const path = process.env[variable];
  return path?.startsWith('/') === true ? path : undefined;
}
