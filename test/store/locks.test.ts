import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Writable } from 'node:stream';

import { describe, expect, test } from '@jest/globals';

import { LockFile, LockToken, sweepLocks } from '../../lib/store/lock-file.js';
import { Locks } from '../../lib/store/locks.js';
import { formatOwner, isAlive, parseOwner, self } from '../../lib/store/owner.js';
import { sleep } from '../../lib/util/abort.js';
import { type Child, Place } from './place.js';

const dead = formatOwner({ ...self(), start: '1' });

function lockPlace(): Place {
  const place = new Place();
  mkdirSync(place.at('root'));
  return place;
}

function lockFile(place: Place, name = 'one'): LockFile {
  return new LockFile(place.at('root', name), token(place));
}

function token(place: Place): LockToken {
  return new LockToken(place.at('root'));
}

/** Without the files that say whose the locks are. */
function locksIn(place: Place): string[] {
  return readdirSync(place.at('root')).filter(name => !name.startsWith('.'));
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setImmediate(resolve));
}

describe('owners', () => {
  test('are read as they were written', () => {
    expect(parseOwner(formatOwner(self()))).toEqual(self());
    expect(parseOwner('nonsense')).toBeUndefined();
  });

  test('live as long as the very process does', async () => {
    expect(isAlive(self())).toBe(true);
    expect(isAlive({ ...self(), start: '1' })).toBe(false);
    expect(isAlive({ ...self(), boot: '00000000' })).toBe(false);
    expect(isAlive({ ...self(), pid: 1, start: '999999999' })).toBe(false);
  });

  test('of another pid namespace count as living', () => {
    expect(isAlive({ ...self(), namespace: '1', start: '1' })).toBe(true);
  });
});

describe('a lock file', () => {
  test('is had by one at a time and leaves nothing', async () => {
    await using place = lockPlace();
    const [first, second] = [lockFile(place), lockFile(place)];
    expect([first.tryAcquire(), second.tryAcquire()]).toEqual([true, false]);
    first.release();
    expect(second.tryAcquire()).toBe(true);
    second.release();
    expect(locksIn(place)).toEqual([]);
  });

  test('of dead owners is succeeded, however many died', async () => {
    await using place = lockPlace();
    const path = place.at('root', 'one');
    writeFileSync(path, `${dead}.aa`);
    writeFileSync(`${path}.aa`, `${dead}.bb`);
    const [first, second] = [lockFile(place), lockFile(place)];
    expect([first.tryAcquire(), second.tryAcquire()]).toEqual([true, false]);
    first.release();
    expect(locksIn(place)).toEqual([]);
  });

  test('of a zombie is succeeded', async () => {
    await using place = lockPlace();
    // The shell becomes a program that never waits for its child, and then the child ends.
    const script = 'cat <&3 >/dev/null & echo $!; exec tail -f /dev/null 3<&-';
    const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    try {
      const pid = await new Promise<number>(resolve =>
        parent.stdout?.once('data', data => resolve(Number(String(data)))),
      );
      await until(() => readFileSync(`/proc/${parent.pid}/comm`, 'latin1') === 'tail\n');
      (parent.stdio[3] as Writable).end();
      await until(() => readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '));
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
      writeFileSync(place.at('root', 'one'), `${formatOwner({ ...self(), pid, start })}.aa`);
      expect(lockFile(place).tryAcquire()).toBe(true);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  test('is swept when its owner is dead, and what a killed release left, too', async () => {
    await using place = lockPlace();
    const living = lockFile(place, 'living');
    living.tryAcquire();
    writeFileSync(place.at('root', 'one'), `${dead}.aa`);
    writeFileSync(place.at('root', 'one.aa'), `${dead}.bb`);
    writeFileSync(place.at('root', 'two.cc'), `${dead}.dd`);
    writeFileSync(place.at('root', `.${dead}.ee`), `${dead}.ee`);
    sweepLocks(place.at('root'), token(place));
    expect(locksIn(place)).toEqual(['living']);
    expect(existsSync(place.at('root', `.${dead}.ee`))).toBe(false);
  });
});

describe('locks', () => {
  test('are given in the order of asking', async () => {
    await using place = lockPlace();
    const locks = new Locks(place.at('root'));
    const order: number[] = [];
    const first = await locks.acquire('one');
    const others = [1, 2, 3].map(async n => {
      await using held = await locks.acquire('one');
      order.push(n);
      void held;
    });
    await first[Symbol.asyncDispose]();
    await Promise.all(others);
    expect(order).toEqual([1, 2, 3]);
  });

  test('wait across instances, as they do across processes', async () => {
    await using place = lockPlace();
    const held = await new Locks(place.at('root')).acquire('one');
    let got = false;
    const waiting = new Locks(place.at('root')).acquire('one').then(lock => {
      got = true;
      return lock;
    });
    await new Promise(resolve => setImmediate(resolve));
    expect(got).toBe(false);
    await held[Symbol.asyncDispose]();
    await (await waiting)[Symbol.asyncDispose]();
  });

  test('an abort ends the waiting with its reason, and the next in line gets the lock', async () => {
    await using place = lockPlace();
    const locks = new Locks(place.at('root'));
    const held = await locks.acquire('one');
    const controller = new AbortController();
    const aborted = locks.acquire('one', { signal: controller.signal });
    const next = locks.acquire('one');
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    await held[Symbol.asyncDispose]();
    await (await next)[Symbol.asyncDispose]();
    expect(locksIn(place)).toEqual([]);
  });

  test('an abort ends the waiting for another process', async () => {
    await using place = lockPlace();
    const file = lockFile(place);
    file.tryAcquire();
    const controller = new AbortController();
    const aborted = new Locks(place.at('root')).acquire('one', { signal: controller.signal });
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
  });

  test('have no two winners among processes that are killed while they have them', async () => {
    await using place = lockPlace();
    const violations: string[] = [];
    const hammer = (rounds: number, way: string): Child => place.start('hammer', String(rounds), way);
    const survivors = [hammer(120, 'during'), hammer(120, 'acquire')];
    const victims = async (): Promise<void> => {
      for (let n = 0; n < 6; n++) {
        const victim = hammer(1_000_000, n % 2 === 0 ? 'during' : 'acquire');
        await victim.line();
        await sleep(5 + Math.random() * 40);
        await victim.kill();
        for (let line; (line = await victim.line()) !== undefined;) violations.push(line);
      }
    };
    const watch = async (child: Child): Promise<void> => {
      for (let line; (line = await child.line()) !== undefined;)
        if (line.startsWith('violation')) violations.push(line);
    };
    await Promise.all([victims(), ...survivors.map(watch)]);
    expect(violations).toEqual([]);
    expect(Number(readFileSync(place.at('counter'), 'utf8'))).toBeGreaterThanOrEqual(240);
    sweepLocks(place.at('root'), token(place));
    expect(locksIn(place)).toEqual([]);
  });
});
