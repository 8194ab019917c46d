import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';

import { expect } from '@jest/globals';

import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';

const { describe, test } = needs('root');

/** In a stop of ptrace(2). */
function stopped(pid: number): boolean {
  return /^State:\tt/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

describe('remove with force', () => {
  needs('root', 'gdb').test(
    'ends within ten seconds when a debugger holds the first process, and does not let go',
    async () => {
      await using engine = await testEngine();
      const image = await baseImage(engine);
      const container = await engine.launch(image, { command: ['sleep', '600'], networks: ['none'] });
      const { pid = 0 } = await container.inspect();
      const debug = spawn('gdb', ['-nx', '-q', '-p', String(pid)], { stdio: ['pipe', 'ignore', 'ignore'] });
      await until('it is traced', () => stopped(pid));
      // It can neither be asked to let go nor reap: the first process stays a zombie.
      debug.kill('SIGSTOP');
      try {
        const begun = performance.now();
        await container.remove({ force: true });
        expect(performance.now() - begun).toBeLessThan(10_000);
        expect(await engine.containers.list()).toEqual([]);
      } finally {
        debug.kill('SIGKILL');
        await once(debug, 'exit');
      }
    },
  );

  needs('root', 'strace').test(
    'says who keeps a process from ending, within ten seconds, and ends when it may',
    async () => {
      await using engine = await testEngine();
      const image = await baseImage(engine);
      const container = await engine.launch(image, { command: ['sleep', '600'], networks: ['none'] });
      const { pid = 0 } = await container.inspect();
      // It asks to be told of the end before it comes, and so can put it off for ever.
      const strace = spawn('strace', ['-p', String(pid), '-o', '/dev/null'], { stdio: 'ignore' });
      await until('it is traced', () => !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
      strace.kill('SIGSTOP');
      try {
        const begun = performance.now();
        await expect(container.remove({ force: true })).rejects.toMatchObject({
          code: 'CTR_INVALID_STATE',
          message: expect.stringContaining(`process ${pid}, traced by ${strace.pid}`),
        });
        expect(performance.now() - begun).toBeLessThan(12_000);
        expect((await container.inspect()).state).toBe('dead');
      } finally {
        strace.kill('SIGKILL');
        await once(strace, 'exit');
      }
      await container.remove({ force: true });
      expect(await engine.containers.list()).toEqual([]);
    },
  );

  test('ends within ten seconds when its monitor stands still', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.launch(image, { command: ['sleep', '600'], networks: ['none'] });
    const { pid = 0 } = await container.inspect();
    const monitor = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    process.kill(monitor, 'SIGSTOP');
    const begun = performance.now();
    const removal = container.remove({ force: true });
    await until('its state says so', async () => (await container.inspect()).state === 'removing');
    await removal;
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('what could not be removed is dead, and goes with the next attempt', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.containers.create({ image, command: ['true'], networks: ['none'] });
    const directory = `${engine.root}/containers/${container.id}`;
    const chattr = async (flag: string): Promise<void> => {
      await once(spawn('chattr', [flag, directory], { stdio: 'ignore' }), 'exit');
    };
    const { writeFileSync } = await import('node:fs');
    // Somebody began to remove it, and was killed over it.
    writeFileSync(`${directory}/removing`, JSON.stringify({ owner: '1-1-00000000-1' }));
    await chattr('+i');
    try {
      expect((await container.inspect()).state).toBe('dead');
      await expect(container.start()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'dead' });
      await expect(container.remove()).rejects.toMatchObject({ code: 'CTR_SYSCALL' });
      expect((await container.inspect()).state).toBe('dead');
    } finally {
      await chattr('-i');
    }
    await container.remove();
    expect(await engine.containers.list()).toEqual([]);
  });

  test('a half-finished removal is ended by the next open', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.containers.create({
      image,
      command: ['true'],
      networks: ['none'],
      lifetime: 'detached',
    });
    const { writeFileSync } = await import('node:fs');
    writeFileSync(`${engine.root}/containers/${container.id}/removing`, JSON.stringify({ owner: '1-1-00000000-1' }));
    const second = await engine.place.open();
    expect(await second.containers.list()).toEqual([]);
  });
});
