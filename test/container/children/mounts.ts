import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseMountInfo } from '../../../lib/host/mountinfo.js';
import { Engine, type BindMount, type Container } from '../../../lib/index.js';

/** Runs in a mount namespace of its own: see `mounts.test.ts`. Prints what it found, as JSON. */
const [, , kind = '', root = '', runRoot = ''] = process.argv;
const mount = (...args: string[]): void => void execFileSync('mount', args);
const tmpfs = (path: string): void => {
  mkdirSync(path, { recursive: true });
  mount('-t', 'tmpfs', 'tmpfs', path);
};

const source = join(root, 'mounts');
tmpfs(source);
if (kind === 'shared') mount('--make-shared', source);
for (const name of ['below', 'later', 'inside']) mkdirSync(join(source, name));
tmpfs(join(source, 'below'));
writeFileSync(join(source, 'below/file'), 'there');

const engine = await Engine.open({ root, runRoot });
const [image] = await engine.images.list();
if (image === undefined) throw new Error('the store has no image');
console.log(JSON.stringify(kind === 'private' ? await refusal() : await answers()));
await engine.close();

async function launch(options: Partial<BindMount>): Promise<Container & AsyncDisposable> {
  return engine.launch(image ?? '', {
    command: ['sleep', '100'],
    networks: ['none'],
    // To mount something inside, and to look at it from there.
    capabilities: { add: ['SYS_ADMIN'] },
    seccomp: 'unconfined',
    mounts: [{ type: 'bind', source, target: '/m', ...options }],
  });
}

async function refusal(): Promise<unknown> {
  try {
    await launch({ propagation: 'rslave' });
  } catch (error) {
    const { code, kind, state } = error as Record<string, unknown>;
    return { code, kind, state };
  }
  return 'it was mounted';
}

async function see(container: Container, path: string): Promise<string> {
  return (await container.exec(['sh', '-c', `cat ${path} 2>/dev/null`], { reject: false })).stdout;
}

async function answers(): Promise<unknown> {
  const found: Record<string, unknown> = {};
  for (const recursive of ['enabled', 'disabled', 'writable'] as const) {
    await using container = await launch({ readOnly: true, recursive });
    const { stdout } = await container.exec(['cat', '/proc/self/mountinfo']);
    const options = (path: string): string =>
      parseMountInfo(stdout).find(({ target }) => target === path)?.options[0] ?? '';
    found[recursive] = {
      below: await see(container, '/m/below/file'),
      top: options('/m'),
      inner: options('/m/below'),
    };
  }
  await using apart = await launch({});
  await using slave = await launch({ propagation: 'rslave' });
  await using peer = await launch({ propagation: 'rshared' });
  tmpfs(join(source, 'later'));
  writeFileSync(join(source, 'later/file'), 'later');
  found['rprivate'] = await see(apart, '/m/later/file');
  found['rslave'] = await see(slave, '/m/later/file');
  const fromInside: Record<string, string> = {};
  for (const [name, container] of [
    ['rslave', slave],
    ['rshared', peer],
  ] as const) {
    await container.exec(['sh', '-c', 'mount -t tmpfs tmpfs /m/inside && printf "from inside" >/m/inside/file']);
    const file = join(source, 'inside/file');
    fromInside[name] = existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
  found['fromInside'] = fromInside;
  return found;
}
