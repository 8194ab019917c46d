import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { CommandLines, type Side } from './command-lines.js';
import { listing } from './file-sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const prefix = `tsc-commit-${process.pid}`;
const change = [
  'mkdir -p /made/sub && echo kept > /made/sub/file && chmod 640 /made/sub/file',
  'echo changed >> /etc/group && mknod /made/pipe p && umask 077',
].join(' && ');

const changes: readonly (readonly string[])[] = [
  [],
  ['CMD ["sh", "-c", "cat /made/sub/file"]'],
  ['CMD cat /made/sub/file'],
  ['ENTRYPOINT ["cat"]'],
  ['ENTRYPOINT ["cat"]', 'CMD ["/made/sub/file"]'],
  ['ENTRYPOINT cat'],
  ['ENV A=1 B="two words"'],
  ['ENV A=1', 'ENV PATH=/bin', 'ENV C three words'],
  ['EXPOSE 80', 'EXPOSE 53/udp 8000/tcp'],
  ['LABEL a=1 b="two words"'],
  ['LABEL base=other'],
  ['USER ada'],
  ['USER 1000:29'],
  ['VOLUME /data'],
  ['VOLUME ["/a", "/b"]'],
  ['WORKDIR /made'],
  ['WORKDIR made', 'WORKDIR sub'],
  ['STOPSIGNAL SIGINT'],
  ['HEALTHCHECK --interval=5s --retries=2 CMD true'],
  ['HEALTHCHECK NONE'],
  ['ONBUILD RUN true'],
];
const refused: readonly (readonly string[])[] = [
  ['RUN true'],
  ['FROM x'],
  ['COPY a b'],
  ['nonsense'],
  ['EXPOSE x'],
  ['ENV'],
];

interface Inspected {
  readonly Config: Record<string, unknown>;
  readonly [key: string]: unknown;
}

describe('commit', () => {
  let both: CommandLines;

  beforeAll(async () => {
    both = await CommandLines.of('commit');
    const { ours, theirs } = await both.say(
      ...['run', '--name', prefix, '--network', 'none', '-e', 'GIVEN=1', '-l', 'base=label', '--expose', '99'],
      ...['-v', '/volume', '-w', '/etc', both.tag, 'sh', '-c', change],
    );
    expect([ours.stderr, theirs.stderr]).toEqual(['', '']);
  }, 60_000);

  afterAll(async () => {
    await both.say('rm', '-f', '-v', prefix);
    await both[Symbol.asyncDispose]();
  });

  const inspected = async (ref: string): Promise<Record<Side, Inspected>> => {
    const { ours, theirs } = await both.say('image', 'inspect', ref);
    const parse = (text: string): Inspected => (JSON.parse(text) as Inspected[])[0] as Inspected;
    return { ours: parse(ours.stdout), theirs: parse(theirs.stdout) };
  };

  test.each(changes.map((list, index) => [list.join('; ') || 'nothing', list, index] as const))(
    'changes: %s',
    async (_, list, index) => {
      const ref = `${prefix}:${index}`;
      const flags = list.flatMap(each => ['--change', each]);
      const said = await both.say('commit', '--author', 'Ada', '--message', 'why', ...flags, prefix, ref);
      try {
        expect([said.ours.exitCode, said.ours.stderr]).toEqual([said.theirs.exitCode, said.theirs.stderr]);
        const { ours, theirs } = await inspected(ref);
        expect(settled(ours.Config)).toEqual(settled(theirs.Config));
        for (const key of ['Author', 'Comment', 'Architecture', 'Os'])
          expect([key, ours[key]]).toEqual([key, theirs[key]]);
        const told = await both.say('history', '--no-trunc', '--format', '{{.CreatedBy}}|{{.Comment}}', ref);
        expect(told.ours.stdout).toBe(told.theirs.stdout);
      } finally {
        await both.say('rmi', '-f', ref);
      }
    },
  );

  test.each(refused.map(list => [list.join('; '), list] as const))('refused: %s', async (_, list) => {
    const { ours, theirs } = await both.say('commit', ...list.flatMap(each => ['-c', each]), prefix, `${prefix}:no`);
    if (theirs.exitCode === 0) await both.say('rmi', '-f', `${prefix}:no`);
    expect([ours.exitCode, ours.stdout]).toEqual([theirs.exitCode, theirs.stdout]);
  });

  test('what one has made runs in the other, with the same files', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tsc-commit-'));
    const [ours, theirs] = ['ours', 'theirs'].map(side => `${prefix}-${side}:1`) as [string, string];
    try {
      await both.speak(side => ['commit', '-c', 'CMD ["cat", "/made/sub/file"]', prefix, { ours, theirs }[side]]);
      const saved = await both.speak(side => [...['save', '-o', join(directory, side), { ours, theirs }[side]]]);
      expect([saved.ours.stderr, saved.theirs.stderr]).toEqual(['', '']);
      const other = { ours: 'theirs', theirs: 'ours' } as const;
      const loaded = await both.speak(side => ['load', '-i', join(directory, other[side])]);
      expect([loaded.ours.stderr, loaded.theirs.stderr]).toEqual(['', '']);
      for (const ref of [ours, theirs]) {
        const ran = await both.say('run', '--rm', '--network', 'none', ref);
        expect([ran.ours, ran.theirs]).toEqual(Array(2).fill({ exitCode: 0, stdout: 'kept\n', stderr: '' }));
      }
      // Both images as Docker sees them.
      const trees = [];
      for (const ref of [ours, theirs]) {
        await both.say('create', '--name', `${prefix}-tree`, '--network', 'none', ref);
        const { theirs: exported } = await both.speak(() => ['export', `${prefix}-tree`]);
        trees.push(await listing(exported.stdout));
        await both.say('rm', `${prefix}-tree`);
      }
      expect(trees[0]).toEqual(trees[1]);
    } finally {
      await both.say('rmi', '-f', ours, theirs);
      rmSync(directory, { recursive: true, force: true });
    }
  }, 60_000);
});

/** What is empty says the same as what is not there. */
function settled(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).filter(([key, value]) => {
      const isEmpty =
        value === null ||
        value === '' ||
        value === false ||
        JSON.stringify(value) === '{}' ||
        JSON.stringify(value) === '[]';
      return !isEmpty && key !== 'Hostname' && key !== 'Image';
    }),
  );
}
