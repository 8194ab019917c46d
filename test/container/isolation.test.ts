import { readFileSync, readlinkSync } from 'node:fs';

import { expect } from '@jest/globals';

import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const namespaces = ['mnt', 'pid', 'net', 'ipc', 'uts'];

test('a container has its own namespaces, pids, hostname and root', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using container = await engine.launch(image, {
    command: ['sleep', '100'],
    hostname: 'island',
    networks: ['none'],
  });
  const { pid } = await container.inspect();
  for (const kind of namespaces)
    expect(readlinkSync(`/proc/${pid}/ns/${kind}`)).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
  const { stdout } = await container.exec([
    'sh',
    '-c',
    'cat /proc/sys/kernel/hostname; echo $$; ls /proc | grep -c "^[0-9]"',
  ]);
  const [hostname, own, processes] = stdout.split('\n');
  expect(hostname).toBe('island');
  expect(Number(own)).toBeLessThan(100);
  expect(Number(processes)).toBeLessThan(10);
});

test('a container has exactly the capabilities that Docker gives, and a seccomp filter', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout } = await engine.run(image, ['cat', '/proc/self/status'], { networks: ['none'] });
  const status = Object.fromEntries(stdout.split('\n').map(line => line.split(/:\s+/)));
  expect(status).toMatchObject({
    CapInh: '0000000000000000',
    CapPrm: '00000000a80425fb',
    CapEff: '00000000a80425fb',
    CapBnd: '00000000a80425fb',
    CapAmb: '0000000000000000',
    NoNewPrivs: '0',
    Seccomp: '2',
  });
});

test('a process of another user has no capabilities', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout } = await engine.run(image, ['cat', '/proc/self/status'], { networks: ['none'], user: '1234:5678' });
  expect(stdout).toMatch(/^Uid:\t1234\t1234\t1234\t1234$/m);
  expect(stdout).toMatch(/^Gid:\t5678\t5678\t5678\t5678$/m);
  expect(stdout).toMatch(/^CapEff:\t0000000000000000$/m);
});

test('no mount of a container is seen outside', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const before = readFileSync('/proc/self/mountinfo', 'utf8');
  await using container = await engine.launch(image, { command: ['sleep', '100'], networks: ['none'] });
  const after = readFileSync('/proc/self/mountinfo', 'utf8');
  expect(after.split('\n').filter(line => line.includes(engine.root))).toEqual(
    before.split('\n').filter(line => line.includes(engine.root)),
  );
  expect((await container.inspect()).state).toBe('running');
});

test('what the kernel would tell too much of is masked, and what steers it is read-only', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const probe =
    'cat /proc/keys /proc/timer_list 2>&1 | head -c 100; for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do (echo x > $f) 2>/dev/null && echo "wrote $f"; done; true';
  const { stdout } = await engine.run(image, ['sh', '-c', probe], { networks: ['none'] });
  expect(stdout).toBe('');
});

test('the environment is what Docker would make of it', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout } = await engine.run(image, ['cat', '/proc/self/environ'], {
    networks: ['none'],
    hostname: 'h',
    env: { GREETING: 'hi there' },
  });
  const env = stdout.split('\0').filter(Boolean);
  expect(env).toContain('HOSTNAME=h');
  expect(env).toContain('GREETING=hi there');
  expect(env).toContain('HOME=/root');
  expect(env.filter(entry => entry.startsWith('PATH='))).toHaveLength(1);
});

test('the working directory is made where it is missing', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout } = await engine.run(image, ['sh', '-c', 'pwd'], { networks: ['none'], cwd: '/deep/er' });
  expect(stdout).toBe('/deep/er\n');
});

test('a read-only root refuses writes, its tmpfs and volumes do not', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout, exitCode } = await engine.run(
    image,
    ['sh', '-c', 'echo x > /scratch/a && cat /scratch/a; echo x > /b'],
    {
      networks: ['none'],
      readOnly: true,
      mounts: [{ type: 'tmpfs', target: '/scratch', sizeBytes: 1 << 20 }],
      reject: false,
    },
  );
  expect({ stdout, failed: exitCode !== 0 }).toEqual({ stdout: 'x\n', failed: true });
});

test('init reaps and forwards', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using container = await engine.launch(image, {
    command: ['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'],
    init: true,
    networks: ['none'],
  });
  for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
  expect(await container.stop()).toMatchObject({ exitCode: 9 });
});
