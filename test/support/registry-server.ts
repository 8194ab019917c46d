import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { RegistryServer, type RegistryServerOptions } from '../../lib/registry/server/server.js';

/** Our registry, listening, in a directory of its own that goes with it. */
export interface ServedRegistry extends AsyncDisposable {
  readonly host: string;
  readonly root: string;
  readonly server: RegistryServer;
}

export async function serveRegistry(options: Omit<RegistryServerOptions, 'root'> = {}): Promise<ServedRegistry> {
  const root = mkdtempSync(join(tmpdir(), 'tscontainer-registry-'));
  const server = new RegistryServer({ root, ...options });
  const host = await server.listen();
  return {
    host,
    root,
    server,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      rmSync(root, { recursive: true });
    },
  };
}
