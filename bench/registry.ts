/**
 * Measures the registry: blobs and manifests read from the server on loopback, each from a process of its own, and a push of
 * the large image beside Docker's.
 *
 *   node dist/bench/registry.js                          the server alone
 *   TSC_BENCH_DOCKER=unix:///run/docker.sock TSC_BENCH_REGISTRY=127.0.0.1:5000 node dist/bench/registry.js
 *   … --smoke                                            little of each, to see that it works
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Engine, Registry, RegistryServer, type Digest } from '../lib/index.js';
import { sha256 } from '../lib/oci/digest.js';
import { Docker } from './docker.js';
import { pushLarge } from './images.js';
import { middle, perSecond, timed } from './measure.js';

const smoke = process.argv.includes('--smoke');
const MIB = 1024 * 1024;

async function main(): Promise<void> {
  if (process.argv[2] === 'serve') return serve(process.argv[3] ?? '');
  const directory = mkdtempSync(join(process.env['TSC_BENCH_DIR'] ?? tmpdir(), 'tsc-bench-registry-'));
  try {
    await measureServer(join(directory, 'registry'));
    const registry = process.env['TSC_BENCH_REGISTRY'];
    if (registry !== undefined) await measurePush(directory, registry);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function serve(root: string): Promise<void> {
  const server = new RegistryServer({ root });
  console.log(await server.listen());
}

async function measureServer(root: string): Promise<void> {
  const [child, host] = await startServer(root);
  try {
    await using registry = new Registry(host);
    const bytes = randomBytes((smoke ? 16 : 256) * MIB);
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(bytes), size: bytes.length };
    const took = await timed(() => registry.putBlob('bench', layer, bytes));
    console.log(`write one blob of ${bytes.length / MIB} MiB: ${Math.round(bytes.length / took / 1000)} MB/s`);
    const config = Buffer.from('{}');
    const configAt = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: 2 };
    await registry.putBlob('bench', configAt, config);
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: configAt, layers: [layer] }));
    await registry.putManifest('bench', '1', mediaType, manifest);

    const rounds = smoke ? 3 : 8;
    await readBlob(host, layer.digest, layer.size);
    for (const atOnce of [1, 2]) {
      const start = performance.now();
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          for (let round = 0; round < rounds; round++) await readBlob(host, layer.digest, layer.size);
        }),
      );
      const seconds = (performance.now() - start) / 1000;
      console.log(
        `read blobs, ${atOnce} at a time: ${Math.round((bytes.length * rounds * atOnce) / seconds / 1e6)} MB/s`,
      );
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    for (const ref of ['1', sha256(manifest)]) {
      const rate = await perSecond(smoke ? 500 : 10_000, 16, () => readManifest(host, ref, agent));
      console.log(`manifests by ${ref === '1' ? 'tag' : 'digest'}, 16 at a time: ${Math.round(rate)}/s`);
    }
    agent.destroy();
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

async function startServer(root: string): Promise<[ChildProcess, string]> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) return [child, line];
  throw new Error('the server did not start');
}

/** With as little work as can be on this side: bytes are counted and dropped. */
async function readBlob(host: string, digest: Digest, size: number): Promise<void> {
  const [address = '', port = ''] = host.split(':');
  let bytes = 0;
  const callback = (count: number): boolean => {
    bytes += count;
    return true;
  };
  const socket = connect({
    host: address,
    port: Number(port),
    onread: { buffer: Buffer.allocUnsafe(MIB), callback },
  });
  await once(socket, 'connect');
  socket.write(`GET /v2/bench/blobs/${digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  await once(socket, 'close');
  if (bytes < size) throw new Error(`${bytes} bytes came, ${size} were to`);
}

function readManifest(host: string, ref: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(`http://${host}/v2/bench/manifests/${ref}`, { agent }, response => {
      response.on('end', () => resolve()).on('error', reject);
      response.resume();
    }).on('error', reject);
  });
}

async function measurePush(directory: string, registry: string): Promise<void> {
  const size = smoke ? { layers: 4, files: 800, bytes: 8_000_000 } : undefined;
  await pushLarge(registry, 'tsc-bench/large', '1', size);
  const ref = `${registry}/tsc-bench/large:1`;
  const peers = (process.env['TSC_BENCH_DOCKER'] ?? '').split(',').filter(Boolean);
  const engine = await Engine.open({ root: join(directory, 'store'), runRoot: join(directory, 'run') });
  try {
    const image = await engine.images.pull(ref);
    const ours: number[] = [];
    const theirs: number[][] = peers.map(() => []);
    const dockers = peers.map((host, index) => new Docker(`docker ${index + 1}`, host));
    for (const docker of dockers) await docker.pull(ref);
    for (let round = 0; round < (smoke ? 1 : 3); round++) {
      // A registry of its own each time: what is there is not pushed again, and what is elsewhere is mounted.
      await using own = new RegistryServer({ root: join(directory, `target-${round}`) });
      const host = await own.listen();
      ours.push(await timed(() => image.push(`${host}/large:1`)));
      for (const [index, docker] of dockers.entries()) {
        await using other = new RegistryServer({ root: join(directory, `target-${round}-${index}`) });
        const to = `${await other.listen()}/large`;
        await docker.tag(ref, to, '1');
        theirs[index]?.push(await timed(() => docker.push(to, '1')));
        await docker.removeImage(`${to}:1`);
      }
    }
    const told = theirs.map(
      times => `Docker ${Math.round(middle(times))} ms, ${(middle(times) / middle(ours)).toFixed(2)}×`,
    );
    console.log(`push the large image: ${Math.round(middle(ours))} ms${told.map(text => `; ${text}`).join('')}`);
    for (const docker of dockers) await docker.removeImage(ref);
  } finally {
    await engine.close();
  }
}

await main();
