/**
 * Shows what the engine does, with nothing but this machine: `npm run demo`, as root.
 *
 * Makes an image from the host's own programs, runs it isolated, publishes a port and gets an answer through it, execs,
 * follows logs, and checks that nothing is left. What each step took is printed beside it.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Engine, ready, type Container, type Image } from 'tscontainer';

const MIB = 1024 * 1024;

/** What the server in the container does: answers, and says so. */
const SERVER = `
  const server = require('node:http').createServer((request, response) => {
    console.log(request.method, request.url);
    response.end('hello from ' + require('node:os').hostname() + ', pid ' + process.pid + '\\n');
  });
  server.listen(8080, () => console.log('listening'));
  process.on('SIGTERM', () => process.exit(0)); // Whoever is pid 1 must ask for signals to get them.
`;

/** What a process in a container sees of the world, as a shell tells it. */
const LOOK = `
  echo "processes  $(cd /proc && echo [0-9]*)"
  echo "hostname   $(cat /proc/sys/kernel/hostname)"
  echo "user       $(id)"
  echo "root       $(cd / && echo *)"
  echo "devices    $(cd /dev && echo *)"
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [ ! -e $file ] || echo "memory     $(cat $file) bytes at most"
  done
  for file in /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max; do
    [ ! -e $file ] || echo "processes  $(cat $file) at most"
  done
`;

async function main(): Promise<void> {
  if (process.platform !== 'linux') return refuse('containers are a feature of Linux');
  if (process.getuid?.() !== 0) return refuse('this version needs root: sudo npm run demo');
  const directory = mkdtempSync(join(tmpdir(), 'tscontainer-demo-'));
  try {
    await show(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
  await step('look for what is left: mounts, processes, cgroups, devices', async () => {
    const left = await settled(directory);
    if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`);
    return 'nothing';
  });
}

async function show(directory: string): Promise<void> {
  const root = join(directory, 'store');
  const runRoot = join(directory, 'run');
  await using engine = await step('open an engine on an empty store', () => Engine.open({ root, runRoot }));
  engine.on('container:create', ({ id }) => made.add(id));
  engine.on('network:create', ({ id }) => made.add(id));
  const image = await step('make an image of sh, cat, id, sleep, seq and node, with their libraries', async () =>
    engine.images.fromHost({ binaries: ['sh', 'cat', 'id', 'sleep', 'seq', process.execPath] }),
  );
  await isolated(engine, image);
  await served(engine, image);
  await step('start and end one more, now that everything is warm', () => engine.run(image, ['sh', '-c', ':']));
}

async function isolated(engine: Engine, image: Image): Promise<void> {
  const { stdout } = await step('run a shell in it, with limits and without a network', () =>
    engine.run(image, ['sh', '-c', LOOK], {
      hostname: 'demo',
      networks: ['none'],
      resources: { memoryBytes: 64 * MIB, maxProcesses: 50 },
    }),
  );
  print(stdout);
}

async function served(engine: Engine, image: Image): Promise<void> {
  await using server = await step('launch a web server on the bridge, its port published', () =>
    engine.launch(image, { command: [process.execPath, '-e', SERVER], ports: [8080] }),
  );
  await step('wait until it listens', () => server.waitFor(ready.port(8080), { signal: AbortSignal.timeout(30_000) }));
  const url = `http://127.0.0.1:${server.port(8080)}/`;
  print(await step(`GET ${url}`, async () => (await fetch(url, { headers: { connection: 'close' } })).text()));
  const { stdout } = await step('exec in it', () =>
    server.exec(['sh', '-c', 'echo "exec sees $(cd /proc && echo [0-9]*)"']),
  );
  print(stdout);
  print(await step('follow its log until the request is in it', () => followed(server, 'GET /')));
  const { exitCode, signal } = await step('stop it', () => server.stop({ graceMs: 5_000 }));
  print(`it ended with ${signal ?? exitCode}`);
}

async function followed(container: Container, last: string): Promise<string> {
  const lines: string[] = [];
  for await (const { time, stream, text } of container.logs({ follow: true })) {
    lines.push(`${time.toISOString()} ${stream} ${text}`);
    if (text.startsWith(last)) break;
  }
  return lines.join('\n');
}

/** Does it and says how long it took. */
async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await work();
  console.log(`${(performance.now() - begun).toFixed(1).padStart(8)} ms  ${what}`);
  if (typeof result === 'string' && !result.includes('\n')) print(result);
  return result;
}

function print(text: string): void {
  console.log(text.trimEnd().replace(/^/gm, '               '));
}

function refuse(reason: string): void {
  console.error(`tscontainer: ${reason}`);
  process.exitCode = 1;
}

/** Ids of the containers and networks that were made: other people's may be on this machine as well. */
const made = new Set<string>();

/** What of ours is on this machine: a group has its container's id, a bridge the beginning of its network's. */
function traces(directory: string): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => line.includes(directory));
  const bridges = new Set([...made].map(id => `tsc${id.slice(0, 12)}`));
  const devices = readdirSync('/sys/class/net')
    .filter(name => bridges.has(name))
    .map(name => `network device ${name}`);
  const groups = ['', ...readdirSync('/sys/fs/cgroup')]
    .map(name => join('/sys/fs/cgroup', name, 'tscontainer'))
    .filter(existsSync)
    .flatMap(parent =>
      readdirSync(parent)
        .filter(name => made.has(name))
        .map(name => `cgroup ${parent}/${name}`),
    );
  return [...mounts, ...devices, ...groups, ...processes(directory)];
}

function processes(directory: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(directory) ? [`process ${pid}: ${command}`] : [];
      } catch {
        return []; // It ended while we looked.
      }
    });
}

/** What is still there after a moment, which the kernel takes to tear a network namespace down. */
async function settled(directory: string): Promise<string[]> {
  const deadline = performance.now() + 3_000;
  for (;;) {
    const left = traces(directory);
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

await main();
