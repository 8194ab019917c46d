import { writeFileSync } from 'node:fs';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import { Place } from '../store/place.js';
import { dockerFiles, tar } from './fixtures.js';

let place: Place;
let images: ImageCollection;

beforeEach(async () => {
  place = new Place();
  images = new ImageCollection({ store: await place.open() });
});

afterEach(() => place[Symbol.asyncDispose]());

test('a layer of several images is shared, and counts once', async () => {
  const [base, top] = [tar([{ name: 'x', content: '12345' }]), tar([{ name: 'y', content: '123' }])];
  const files = dockerFiles([
    { tags: ['a:1'], layers: [base] },
    { tags: ['b:1'], layers: [base, top] },
    { layers: [tar([{ name: 'z', content: '1' }])] },
  ]);
  writeFileSync(place.at('all.tar'), tar(files));
  const [a, b, c] = await images.load(place.at('all.tar'));
  const usage = await images.usage(id => (id === b?.id ? 2 : 0));
  const byId = new Map(usage.items.map(item => [item.id, item]));
  expect(usage).toMatchObject({ count: 3, active: 1, totalBytes: 9 });
  // As Docker: what an image in use has to itself cannot be had back.
  expect(usage.reclaimableBytes).toBe(6);
  expect(byId.get(a?.id ?? 'sha256:')).toMatchObject({ sizeBytes: 5, sharedBytes: 5, uniqueBytes: 0, tags: ['a:1'] });
  expect(byId.get(b?.id ?? 'sha256:')).toMatchObject({ sizeBytes: 8, sharedBytes: 5, uniqueBytes: 3, containers: 2 });
  expect(byId.get(c?.id ?? 'sha256:')).toMatchObject({ sizeBytes: 1, sharedBytes: 0, uniqueBytes: 1, tags: [] });
});
