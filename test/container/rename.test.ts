import { expect } from '@jest/globals';

import type { ContainerRecord } from '../../lib/container/record.js';
import { Store } from '../../lib/store/store.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');
const idle = { networks: ['none'], command: ['sleep', '60'] };

describe('container.rename', () => {
  test('in any state: the new name finds it, the old one is free', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({ ...idle, image, name: 'first' });
    const heard: unknown[] = [];
    engine.on('container:rename', ({ name, oldName }) => heard.push([oldName, name]));
    await container.rename('second');
    await container.start();
    await container.rename('third');
    expect((await engine.containers.get('third')).id).toBe(container.id);
    expect((await container.inspect()).name).toBe('third');
    for (const gone of ['first', 'second'])
      await expect(engine.containers.get(gone)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    await using other = await engine.containers.create({ ...idle, image, name: 'first' });
    expect(heard).toEqual([
      ['first', 'second'],
      ['second', 'third'],
    ]);
    await other.remove();
    await container.remove({ force: true });
    await using again = await engine.containers.create({ ...idle, image, name: 'third' });
    expect(again.name).toBe('third');
  });

  test('a name that is taken, its own, or none at all is refused and changes nothing', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using one = await engine.containers.create({ ...idle, image, name: 'one' });
    await using two = await engine.containers.create({ ...idle, image, name: 'two' });
    await expect(one.rename('two')).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: [two.id] });
    await expect(one.rename('one')).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
    await expect(one.rename('-one')).rejects.toThrow(TypeError);
    await expect(one.rename('')).rejects.toThrow(TypeError);
    expect((await engine.containers.get('one')).id).toBe(one.id);
    expect((await engine.containers.get('two')).id).toBe(two.id);
  });

  test('of two that want the same name, one gets it', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using one = await engine.containers.create({ ...idle, image, name: 'one' });
    await using two = await engine.containers.create({ ...idle, image, name: 'two' });
    const outcomes = await Promise.allSettled([one.rename('both'), two.rename('both')]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const winner = outcomes[0]?.status === 'fulfilled' ? one : two;
    expect((await engine.containers.get('both')).id).toBe(winner.id);
  });

  // What a kill between two steps leaves: the name of the record counts, and the other one is free.
  for (const [moment, name, spareName] of [
    ['before the record has the new name', 'old', 'new'],
    ['after it', 'new', 'old'],
  ] as const) {
    test(`a kill ${moment} leaves one name to it and none to nobody`, async () => {
      await using engine = await testEngine();
      const image = await baseImage(engine);
      await using container = await engine.containers.create({ ...idle, image, name: 'old', lifetime: 'detached' });
      const store = await Store.open({ root: engine.place.root, runRoot: engine.place.runRoot, onWarning: () => {} });
      const records = store.records<ContainerRecord>('containers');
      expect(records.claim('new', container.id)).toBe(true);
      records.update(container.id, record => ({ ...record, name, spareName }));
      await store.close();
      const other = await engine.place.open();
      expect((await other.containers.get(name)).id).toBe(container.id);
      await using taker = await other.containers.create({ ...idle, image: image.id, name: spareName });
      expect(taker.name).toBe(spareName);
    });
  }
});
