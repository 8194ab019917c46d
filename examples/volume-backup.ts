/**
 * Backs up the volume of a service, loses it, and restores it into another container: first by the library's own archive,
 * then as it is done with Docker, by a container that has the volumes of another one.
 * `node dist/examples/volume-backup.js`, as root.
 */
import assert from 'node:assert/strict';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { Engine, type Container } from 'tscontainer';

const directory = mkdtempSync(join(tmpdir(), 'tscontainer-backup-'));
const quiet = { networks: ['none'] } as const;

async function read(container: Container): Promise<string> {
  return (await container.exec(['cat', '/data/ledger'])).stdout;
}

try {
  await using engine = await Engine.open({ root: join(directory, 'store'), runRoot: join(directory, 'run') });
  const image = await engine.images.fromHost({ binaries: ['sh', 'cat', 'sleep', 'tar'] });
  const mounts = [{ type: 'volume', source: 'ledger', target: '/data' }] as const;

  {
    await using service = await engine.launch(image, { ...quiet, command: ['sleep', '1000'], mounts });
    await service.exec(['sh', '-c', 'echo "paid 12.50" >/data/ledger']);
    console.log('written:', (await read(service)).trim());
  }

  // The library's way: a stream.
  const volume = await engine.volumes.get('ledger');
  await pipeline(volume.export(), createGzip(), createWriteStream(join(directory, 'ledger.tar.gz')));
  await volume.remove();
  await using restored = await engine.volumes.create({ name: 'ledger' });
  await restored.import(createReadStream(join(directory, 'ledger.tar.gz')));

  // Docker's way: a container that is never started owns the volumes, others borrow them.
  await using data = await engine.containers.create({ ...quiet, image, command: ['sh'], mounts });
  const backups = join(directory, 'backups');
  mkdirSync(backups);
  await engine.run(image, ['tar', '-cf', '/backup/data.tar', '-C', '/data', '.'], {
    ...quiet,
    volumesFrom: [{ container: data.id, readOnly: true }],
    mounts: [{ type: 'bind', source: backups, target: '/backup' }],
  });
  await using other = await engine.launch(image, {
    ...quiet,
    command: ['sleep', '1000'],
    mounts: [
      { type: 'volume', target: '/data' },
      { type: 'bind', source: backups, target: '/backup', readOnly: true },
    ],
  });
  await other.exec(['tar', '-xf', '/backup/data.tar', '-C', '/data']);
  const ledger = await read(other);
  assert.equal(ledger, 'paid 12.50\n');
  console.log('restored:', ledger.trim());
} finally {
  rmSync(directory, { recursive: true, force: true });
}
