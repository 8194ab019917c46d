import { randomInt } from 'node:crypto';

const first =
  'amber ample brisk calm candid clever coral crisp deft eager early fair fleet frank fresh gentle glad golden grand hardy jolly keen kind lively lucid mellow merry mild neat nimble noble plain polite prime proud quick quiet rapid ready serene sharp silver sleek smart snug solid spry steady sturdy sunny swift tidy vivid warm wise witty';
const second =
  'alder anvil badger barge beacon birch brook canal cedar cliff comet crane delta dune ember falcon fern fjord forge gale glade grove harbor hazel heron inlet isle juniper kestrel lagoon larch ledge linden loom maple marsh meadow mill oak orchard otter pier pine prairie quarry raven reed ridge river shore sparrow spruce stork summit thicket tide vale willow wren';

const adjectives = first.split(' ');
const nouns = second.split(' ');

/** A name that a person can say: `calm_otter`; from the third try on with a number. */
export function drawName(attempt: number): string {
  const name = `${adjectives[randomInt(adjectives.length)]}_${nouns[randomInt(nouns.length)]}`;
  return attempt < 3 ? name : `${name}_${randomInt(10_000)}`;
}

/** Docker's grammar of container names. */
export const CONTAINER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
