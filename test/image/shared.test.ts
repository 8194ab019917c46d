import { describe, expect, test } from '@jest/globals';

import { Shared, type SharedWork } from '../../lib/image/shared.js';

/** Work that ends when it is told to, and counts how often it began. */
class Controlled {
  begun = 0;
  aborted: unknown;
  report: SharedWork<number>['report'] = () => {};
  finish: (value: string) => void = () => {};
  fail: (error: unknown) => void = () => {};

  readonly work = ({ signal, report }: SharedWork<number>): Promise<string> => {
    this.begun++;
    this.report = report;
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
      signal.addEventListener('abort', () => {
        this.aborted = signal.reason;
        // Winding up takes its time.
        setImmediate(() => reject(signal.reason as Error));
      });
    });
  };
}

const quiet = (): void => {};

describe('identical calls', () => {
  test('are done once, and all get the result', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    const calls = [1, 2, 3].map(() => shared.join('a', job.work, { report: quiet }));
    job.finish('done');
    expect(await Promise.all(calls)).toEqual(['done', 'done', 'done']);
    expect(job.begun).toBe(1);
    expect(shared.size).toBe(0);
  });

  test('with another key are different', async () => {
    const shared = new Shared<string, number>();
    const [a, b] = [new Controlled(), new Controlled()];
    const calls = [shared.join('a', a.work, { report: quiet }), shared.join('b', b.work, { report: quiet })];
    a.finish('a');
    b.finish('b');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
  });

  test('all get the failure, and the next call starts anew', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    const calls = [1, 2].map(() => shared.join('a', job.work, { report: quiet }));
    job.fail(new RangeError('no'));
    for (const call of calls) await expect(call).rejects.toThrow('no');
    const again = shared.join('a', job.work, { report: quiet });
    job.finish('now');
    expect(await again).toBe('now');
    expect(job.begun).toBe(2);
  });

  test('that come later hear the latest progress first', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    const first = shared.join('a', job.work, { report: quiet });
    job.report(1, 'x');
    job.report(2, 'x');
    const heard: number[] = [];
    const second = shared.join('a', job.work, { report: value => heard.push(value) });
    job.report(3, 'x');
    job.finish('');
    await Promise.all([first, second]);
    expect(heard).toEqual([2, 3]);
  });
});

describe('an abort', () => {
  test('of one caller leaves the work to the others', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    const leaver = new AbortController();
    const left = shared.join('a', job.work, { signal: leaver.signal, report: quiet });
    const stayed = shared.join('a', job.work, { report: quiet });
    leaver.abort('mine');
    await expect(left).rejects.toBe('mine');
    expect(job.aborted).toBeUndefined();
    job.finish('theirs');
    expect(await stayed).toBe('theirs');
  });

  test('of the last caller stops the work, and waits for its end', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    const controller = new AbortController();
    const call = shared.join('a', job.work, { signal: controller.signal, report: quiet });
    controller.abort('enough');
    await expect(call).rejects.toBe('enough');
    expect(job.aborted).toBe('enough');
    expect(shared.size).toBe(0);
  });

  test('before the call begins nothing', async () => {
    const shared = new Shared<string, number>();
    const job = new Controlled();
    await expect(shared.join('a', job.work, { signal: AbortSignal.abort('no'), report: quiet })).rejects.toBe('no');
    expect(job.begun).toBe(0);
  });
});
