import { expect, test } from '@jest/globals';

import { Channel } from '../../lib/image/channel.js';
import { Turns } from '../../lib/image/turns.js';

async function collect(channel: Channel): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of channel) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('what is pushed is read in order, to its end', async () => {
  const channel = new Channel();
  const reading = collect(channel);
  for (const text of ['a', 'b', 'c']) await channel.push(Buffer.from(text));
  channel.end();
  expect(await reading).toBe('abc');
});

test('a failure is read after what came before it', async () => {
  const channel = new Channel();
  await channel.push(Buffer.from('a'));
  channel.fail(new RangeError('cut'));
  const seen: string[] = [];
  const reading = (async () => {
    for await (const chunk of channel) seen.push(Buffer.from(chunk).toString());
  })();
  await expect(reading).rejects.toThrow('cut');
  expect(seen).toEqual(['a']);
});

test('a full channel makes the writer wait until something is read', async () => {
  const channel = new Channel();
  let pushed = 0;
  const writing = (async () => {
    for (; pushed < 8; pushed++) await channel.push(Buffer.alloc(1 << 20));
    channel.end();
  })();
  await new Promise(setImmediate);
  expect(pushed).toBeLessThan(4);
  let bytes = 0;
  for await (const chunk of channel) bytes += chunk.length;
  await writing;
  expect(bytes).toBe(8 << 20);
});

test('a reader that leaves lets the writer go on', async () => {
  const channel = new Channel();
  const writing = (async () => {
    for (let i = 0; i < 16; i++) await channel.push(Buffer.alloc(1 << 20));
  })();
  for await (const chunk of channel) if (chunk.length > 0) break;
  await writing;
});

test('turns on one key are taken one after the other, also past a caller that gave up', async () => {
  const turns = new Turns();
  const order: string[] = [];
  let release = (): void => {};
  const first = turns.take('k', async () => {
    await new Promise<void>(resolve => (release = resolve));
    order.push('first');
  });
  const controller = new AbortController();
  const second = turns.take('k', async () => void order.push('second'), controller.signal);
  controller.abort('left');
  await expect(second).rejects.toBe('left');
  const third = turns.take('k', async () => void order.push('third'));
  await turns.take('other', async () => void order.push('other'));
  release();
  await Promise.all([first, third]);
  expect(order).toEqual(['other', 'first', 'third']);
});
