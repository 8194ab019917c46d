import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import { Registry } from '../../lib/registry/registry.js';
import { tar } from '../image/fixtures.js';
import { Place } from '../store/place.js';
import { needs } from '../support/needs.js';
import { runPeer } from '../support/peers.js';
import { RealRegistry } from '../support/real-registry.js';
import { serveRegistry } from '../support/registry-server.js';
import { TestRegistry } from '../support/registry.js';

const { describe, test } = needs('root', 'docker', 'podman', 'skopeo', 'docker-registry');

/** Brings an image to where it is, and away from there. */
interface Tool extends AsyncDisposable {
  /** Returns the digest of the manifest that came. */
  pull(ref: string): Promise<string>;
  /** What was pulled as `from` becomes `to`, there. */
  push(from: string, to: string): Promise<void>;
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runPeer(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout.trim();
}

function docker(): Tool {
  const made = new Set<string>();
  return {
    pull: async ref => {
      // Docker's store knows what it has; it must come anew.
      await runPeer('docker', ['image', 'rm', '--force', ref]);
      made.add(ref);
      return /^Digest: (sha256:\S+)$/m.exec(await run('docker', 'pull', ref))?.[1] ?? 'none';
    },
    push: async (from, to) => {
      await run('docker', 'tag', from, to);
      made.add(to);
      await run('docker', 'push', to);
    },
    [Symbol.asyncDispose]: async () => {
      for (const ref of made) await runPeer('docker', ['image', 'rm', '--force', ref]);
    },
  };
}

function podman(): Tool {
  const folder = mkdtempSync(join(tmpdir(), 'tscontainer-podman-'));
  const where = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  return {
    pull: async ref => {
      // Under one id it keeps one manifest: that of an earlier pull, if there was one.
      await runPeer('podman', [...where, 'image', 'rm', '--all', '--force']);
      await run('podman', ...where, 'pull', '--quiet', '--tls-verify=false', ref);
      return run('podman', ...where, 'image', 'inspect', '--format', '{{.Digest}}', ref);
    },
    push: async (from, to) => {
      await run('podman', ...where, 'push', '--quiet', '--tls-verify=false', from, to);
    },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

function skopeo(): Tool {
  const folder = mkdtempSync(join(tmpdir(), 'tscontainer-skopeo-'));
  const placeOf = (ref: string): string => join(folder, ref.replace(/[^a-z0-9]/g, '-'));
  return {
    pull: async ref => {
      rmSync(placeOf(ref), { recursive: true, force: true });
      mkdirSync(placeOf(ref));
      await run('skopeo', 'copy', '--quiet', '--src-tls-verify=false', `docker://${ref}`, `dir:${placeOf(ref)}`);
      return `sha256:${createHash('sha256')
        .update(readFileSync(join(placeOf(ref), 'manifest.json')))
        .digest('hex')}`;
    },
    push: async (from, to) => {
      await run('skopeo', 'copy', '--quiet', '--dest-tls-verify=false', `dir:${placeOf(from)}`, `docker://${to}`);
    },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function ours(): Promise<Tool> {
  const place = new Place();
  const images = new ImageCollection({ store: await place.open() });
  return {
    pull: async ref => {
      const before = await images.get(ref).catch(() => undefined);
      await before?.remove({ force: true });
      return (await images.pull(ref)).digest;
    },
    push: async (from, to) => {
      await (await images.get(from)).push(to);
    },
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

const names = ['docker', 'podman', 'skopeo', 'ours'] as const;
const registries = { 'docker-registry': () => RealRegistry.start(), 'our server': () => serveRegistry() };

describe.each(Object.entries(registries))('through %s', (_, start) => {
  const tools = new Map<string, Tool>();
  let registry: AsyncDisposable & { readonly host: string };
  let client: Registry;

  beforeAll(async () => {
    registry = await start();
    client = new Registry(registry.host);
    tools
      .set('docker', docker())
      .set('podman', podman())
      .set('skopeo', skopeo())
      .set('ours', await ours());
    await using source = await TestRegistry.start();
    const layers = [
      tar([{ name: 'etc/' }, { name: 'etc/motd', content: 'hello' }]),
      tar([
        { name: 'bin/' },
        { name: 'bin/sh', content: '#!', mode: 0o755 },
        { name: 'bin/link', type: '2', link: 'sh' },
      ]),
    ];
    const image = source.putImage('seed', '1', {
      layers,
      platform: hostPlatform(),
      docker: true,
      config: { Cmd: ['/bin/sh'] },
    });
    for (const blob of [image.config, ...image.layers]) {
      await client.putBlob('seed', blob, source.blob(blob.digest) ?? Buffer.alloc(0));
    }
    const manifest = source.manifest('seed', '1');
    await client.putManifest('seed', '1', image.manifest.mediaType, manifest?.bytes ?? Buffer.alloc(0));
  }, 60_000);

  afterAll(async () => {
    for (const tool of tools.values()) await tool[Symbol.asyncDispose]();
    await client?.close();
    await registry?.[Symbol.asyncDispose]();
  });

  test.each(names)(
    'what %s pushes, all pull, with the same digest',
    async pusher => {
      const from = `${registry.host}/seed:1`;
      const to = `${registry.host}/by/${pusher}:1`;
      await tools.get(pusher)?.pull(from);
      await tools.get(pusher)?.push(from, to);
      const { digest } = await client.resolve(`by/${pusher}`, '1');
      const pulled: Record<string, string | undefined> = {};
      for (const puller of names) pulled[puller] = await tools.get(puller)?.pull(to);
      expect(pulled).toEqual(Object.fromEntries(names.map(name => [name, digest])));
    },
    120_000,
  );
});
