import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import { formatOwner, self } from '../../lib/store/owner.js';
import type { Records } from '../../lib/store/records.js';
import { Place } from './place.js';

interface Thing {
  readonly id: string;
  readonly name?: string;
  readonly count?: number;
}

async function open(place: Place): Promise<Records<Thing>> {
  return (await place.open()).records<Thing>('containers');
}

test('a record is read as it was written, by any process', async () => {
  await using place = new Place();
  (await open(place)).put({ id: 'a', name: 'ä "x"', count: 1 });
  const records = await open(place);
  expect([records.has('a'), records.get('a')]).toEqual([true, { id: 'a', name: 'ä "x"', count: 1 }]);
  expect(JSON.parse(readFileSync(place.at('root', 'containers', 'a', 'record.json'), 'utf8'))).toMatchObject({
    schema: 1,
    id: 'a',
  });
  records.put({ id: 'b' }, { durable: false });
  expect(
    records
      .list()
      .map(record => record.id)
      .sort(),
  ).toEqual(['a', 'b']);
});

test('kinds do not mix', async () => {
  await using place = new Place();
  const store = await place.open();
  store.records<Thing>('volumes').put({ id: 'a' });
  expect(store.records<Thing>('networks').has('a')).toBe(false);
});

test('a deleted resource is gone with its names and all that is in its directory', async () => {
  await using place = new Place();
  const store = await place.open();
  const records = store.records<Thing>('containers');
  records.claim('name', 'a');
  records.put({ id: 'a' });
  writeFileSync(place.at('root', 'containers', 'a', 'log'), '');
  expect([records.delete('a', ['name', 'other']), records.delete('a')]).toEqual([true, false]);
  expect([records.list(), records.ids(), records.names()]).toEqual([[], [], new Map()]);
  await store.close();
  expect(readdirSync(place.at('root', 'trash'))).toEqual([]);
});

test('a name that went to another meanwhile stays with it', async () => {
  await using place = new Place();
  const records = await open(place);
  records.assign('x:1', 'a');
  records.put({ id: 'a' });
  records.assign('x:1', 'b');
  records.delete('a', ['x:1']);
  expect(records.resolve('x:1')).toBe('b');
});

test('a directory without a record is no record', async () => {
  await using place = new Place();
  const records = await open(place);
  mkdirSync(records.directory('a'));
  expect([records.get('a'), records.list()]).toEqual([undefined, []]);
});

test('a damaged record is set aside with a warning, and the others are read', async () => {
  await using place = new Place();
  const records = await open(place);
  for (const id of ['a', 'b', 'c']) records.put({ id });
  const path = place.at('root', 'containers', 'b', 'record.json');
  writeFileSync(path, '{"schema":1,"id":"b');
  writeFileSync(place.at('root', 'containers', 'c', 'record.json'), '[]');
  expect(records.list()).toEqual([{ id: 'a' }]);
  expect(place.warnings.filter(warning => warning.includes(path))).toHaveLength(1);
  expect(readdirSync(place.at('root', 'containers', 'b'))).toEqual(['record.json.corrupt']);
  records.put({ id: 'b' });
  expect(records.has('b')).toBe(true);
});

test('a record of a newer version is an error that says so, and stays', async () => {
  await using place = new Place();
  const records = await open(place);
  records.put({ id: 'a' });
  const path = place.at('root', 'containers', 'a', 'record.json');
  writeFileSync(path, '{"schema":2,"id":"a"}');
  expect(() => records.get('a')).toThrow(expect.objectContaining({ code: 'CTR_PARSE', source: path }));
  // A list without it would have a collection take away what it refers to.
  expect(() => records.list()).toThrow(/schema 2.*reads up to 1.*newer/s);
  expect(readFileSync(path, 'utf8')).toBe('{"schema":2,"id":"a"}');
});

test('an update reads, changes and writes', async () => {
  await using place = new Place();
  const records = await open(place);
  records.put({ id: 'a', count: 1 });
  const more = (thing: Thing): Thing => ({ ...thing, count: (thing.count ?? 0) + 1 });
  expect(records.update('a', more)).toEqual({ id: 'a', count: 2 });
  expect(records.update('a', () => undefined)).toEqual({ id: 'a', count: 2 });
  expect(records.update('b', more)).toBeUndefined();
  expect(readdirSync(place.at('root', 'locks')).filter(name => !name.startsWith('.'))).toEqual([]);
});

test('updates of several processes all count', async () => {
  await using place = new Place();
  const records = await open(place);
  records.put({ id: 'a', count: 0 });
  const children = [place.start('update', '100'), place.start('update', '100')];
  expect(await Promise.all(children.map(child => child.end()))).toEqual([0, 0]);
  expect(records.get('a')).toEqual({ id: 'a', count: 200 });
});

test.each([['../a'], ['a/b'], [''], ['.a'], ['a\0']])('%j is no id', async id => {
  await using place = new Place();
  const records = await open(place);
  expect(() => records.get(id)).toThrow(TypeError);
  expect(() => records.put({ id })).toThrow(TypeError);
  expect(() => records.claim('name', id)).toThrow(TypeError);
});

test('a name is had by one', async () => {
  await using place = new Place();
  const records = await open(place);
  expect([records.claim('web', 'a'), records.claim('web', 'b'), records.resolve('web')]).toEqual([true, false, 'a']);
  expect([records.release('web', 'b'), records.release('web', 'a'), records.resolve('web')]).toEqual([
    false,
    true,
    undefined,
  ]);
  expect(records.claim('web', 'b')).toBe(true);
});

test('a name moves when it is assigned', async () => {
  await using place = new Place();
  const records = await open(place);
  records.assign('x:1', 'a');
  records.assign('x:1', 'b');
  expect([...records.names()]).toEqual([['x:1', 'b']]);
});

test.each([['docker.io/library/debian:bookworm'], ['..'], ['.hidden'], ['ä ö%2F'], ['n'.repeat(2000)]])(
  '%s can be a name',
  async name => {
    await using place = new Place();
    const records = await open(place);
    expect(records.claim(name, 'a')).toBe(true);
    expect(records.claim(`${name}x`, 'b')).toBe(true);
    expect([records.resolve(name), records.names().get(name)]).toEqual(['a', 'a']);
    expect(readdirSync(place.at('root', 'names', 'containers'))).toHaveLength(2);
  },
);

test('a name without a record goes to the next when its claimer is dead, and only then', async () => {
  await using place = new Place();
  const records = await open(place);
  const dead = formatOwner({ ...self(), start: '1' });
  const directory = place.at('root', 'names', 'containers');
  for (const name of ['free', 'used']) {
    writeFileSync(`${directory}/${name}`, JSON.stringify({ id: `${name}-id`, owner: dead, name }));
  }
  records.put({ id: 'used-id' });
  records.claim('coming', 'coming-id');
  expect(['free', 'used', 'coming'].map(name => records.claim(name, 'new'))).toEqual([true, false, false]);
  expect(records.resolve('free')).toBe('new');
});

test('a kill between deleting a record and its name leaves the name free', async () => {
  await using place = new Place();
  const records = await open(place);
  records.claim('web', 'a');
  records.put({ id: 'a' });
  const child = place.start('half-delete');
  expect(await child.line()).toBe('deleting');
  await child.kill();
  expect([records.has('a'), records.resolve('web'), records.claim('web', 'b')]).toEqual([false, 'a', true]);
});

test('one of many processes gets a name', async () => {
  await using place = new Place();
  const records = await open(place);
  const dead = formatOwner({ ...self(), start: '1' });
  for (let n = 0; n < 40; n += 2) {
    writeFileSync(
      place.at('root', 'names', 'containers', `n${n}`),
      JSON.stringify({ id: `x${n}`, owner: dead, name: `n${n}` }),
    );
  }
  const children = ['a', 'b', 'c'].map(id => place.start('claim', id, '40'));
  const said = await Promise.all(children.map(async child => [(await child.line())?.split(' ') ?? [], child] as const));
  const won = said.flatMap(([names]) => names.filter(name => name !== ''));
  expect(won.sort()).toEqual(Array.from({ length: 40 }, (_, n) => `n${n}`).sort());
  for (const [name, id] of records.names()) expect(said[['a', 'b', 'c'].indexOf(id)]?.[0]).toContain(name);
});
