/**
 * A small orchestrator: keeps a fleet at its size by following events, also those of containers that other processes
 * started. `node dist/examples/orchestrator.js`, as root. It ends when it has replaced three that failed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Engine, type Image } from 'tscontainer';

const SIZE = 3;
const labels = { fleet: 'workers' };

const directory = mkdtempSync(join(tmpdir(), 'tscontainer-fleet-'));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
try {
  await using engine = await Engine.open({ root: join(directory, 'store'), runRoot: join(directory, 'run') });
  const image = await engine.images.fromHost({ binaries: ['sh', 'sleep'] });
  const since = new Date();
  for (let index = 0; index < SIZE; index++) await hire(engine, image, index);
  await keep(engine, image, since);
  for (const container of await engine.containers.list({ labels })) await container.remove({ force: true });
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Workers that fail sooner or later, as workers do. */
async function hire(engine: Engine, image: Image, index: number): Promise<void> {
  const worker = await engine.launch(image, {
    command: ['sh', '-c', `sleep 0.${index + 1}; echo "worker ${index} gives up" >&2; exit 1`],
    networks: ['none'],
    labels: { ...labels, index: String(index) },
    resources: { memoryBytes: 32 * 1024 * 1024, maxProcesses: 20 },
  });
  console.log(`hired ${worker.name}`);
}

async function keep(engine: Engine, image: Image, since: Date): Promise<void> {
  let replaced = 0;
  for await (const event of engine.events({ since, types: ['container:exit'], labels, signal: stop.signal })) {
    if (event.type !== 'container:exit') continue;
    const worker = await engine.containers.get(event.id);
    for await (const { text } of worker.logs({ tail: 1 })) console.log(`${worker.name}: ${text}`);
    const { exitCode, signal, oomKilled } = event.status;
    console.log(`${worker.name} ended with ${oomKilled ? 'no memory left' : (signal ?? exitCode)}`);
    await worker.remove();
    if (++replaced === SIZE) return;
    await hire(engine, image, Number(event.labels['index']));
  }
}
