import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { writeTar, type TarInput } from '../lib/archive/writer.js';
import type { Engine } from '../lib/index.js';
import type { Docker } from './docker.js';
import { middle, timed } from './measure.js';

/** A line of the report: how long it takes, here and with each peer. */
interface FileRow {
  readonly job: string;
  readonly unit: 'ms';
  readonly ours: number;
  readonly theirs: readonly number[];
}

/** One who does it. */
interface Side {
  readonly copyIn: (path: string, archive: Buffer) => Promise<unknown>;
  readonly copyOut: (path: string) => Promise<unknown>;
  /** The image is removed outside of the time that counts. */
  readonly commit: () => Promise<() => Promise<unknown>>;
}

/**
 * Archives into a running container and out of it, and a commit of what was copied. Both get the same bytes from memory, and
 * both have them read and thrown away, so that the way into the container is measured.
 */
export async function fileRows(
  engine: Engine,
  image: string,
  tag: string,
  peers: readonly Docker[],
  rounds: number,
): Promise<FileRow[]> {
  await using container = await engine.launch(image, { command: ['/bin/sleep'], networks: ['none'] });
  const ids: string[] = [];
  try {
    for (const peer of peers) {
      const id = await peer.create(tag, ['/bin/sleep'], { networkMode: 'none' });
      ids.push(id);
      await peer.start(id);
    }
    const ours: Side = {
      copyIn: (path, archive) => container.copyIn(archive, path),
      copyOut: path => container.copyOut(path, nowhere()),
      commit: async () => {
        const made = await container.commit();
        return () => made.remove({ force: true });
      },
    };
    const theirs = peers.map((peer, index): Side => {
      const id = ids[index] as string;
      return {
        copyIn: (path, archive) => peer.copyIn(id, path, archive),
        copyOut: path => peer.copyOut(id, path),
        commit: async () => {
          const made = await peer.commit(id);
          return () => peer.removeImage(made);
        },
      };
    });
    const compare = (job: string, work: (side: Side) => Promise<number>): Promise<FileRow> =>
      inTurn(job, rounds, [ours, ...theirs], work);
    const thousand = await manyFiles('thousand', 1_000);
    for (const side of [ours, ...theirs]) await side.copyIn('/', thousand);
    // First, while there is nothing else in it.
    const rows = [
      await compare('commit of 1,000 new files', async side => {
        let remove: (() => Promise<unknown>) | undefined;
        const took = await timed(async () => (remove = await side.commit()));
        await remove?.();
        return took;
      }),
    ];
    for (const [what, name, archive] of [
      ['100 MB', 'big', await oneFile('big', 100_000_000)],
      ['10,000 files', 'many', await manyFiles('many', 10_000)],
    ] as const) {
      rows.push(await compare(`copy ${what} in`, side => timed(() => side.copyIn('/', archive))));
      rows.push(await compare(`copy ${what} out`, side => timed(() => side.copyOut(`/${name}`))));
    }
    return rows;
  } finally {
    for (const [index, id] of ids.entries()) await peers[index]?.remove(id);
  }
}

/** In turn, so that a busy disk hits all alike. */
async function inTurn(
  job: string,
  rounds: number,
  sides: readonly Side[],
  work: (side: Side) => Promise<number>,
): Promise<FileRow> {
  const times = sides.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, side] of sides.entries()) times[index]?.push(await work(side));
  }
  const [ours = NaN, ...theirs] = times.map(middle);
  return { job, unit: 'ms', ours, theirs };
}

function nowhere(): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
}

function oneFile(name: string, bytes: number): Promise<Buffer> {
  return buffer(writeTar([{ name, content: randomBytes(bytes) }]));
}

function manyFiles(directory: string, count: number): Promise<Buffer> {
  const content = randomBytes(1_000);
  const files = Array.from({ length: count }, (_, index): TarInput => {
    return { name: `${directory}/${Math.floor(index / 100)}/${index}`, content };
  });
  const directories = Array.from({ length: Math.ceil(count / 100) }, (_, index): TarInput => {
    return { name: `${directory}/${index}`, type: 'directory' };
  });
  return buffer(writeTar([{ name: directory, type: 'directory' }, ...directories, ...files]));
}
