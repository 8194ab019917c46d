import { atLeast, atMost, command, exactly, type Group } from '../command.js';
import { parsedList, text, toggle } from '../flags.js';
import { parseFilter } from '../pairs.js';
import { inspectOf } from './container.js';
import { push } from './registry.js';

export const pullFlags = {
  platform: text('Which of a multi-platform image to pull (os/arch[/variant])'),
  quiet: toggle('Suppress verbose output', 'q'),
};

export const pull = command({
  synopsis: '[OPTIONS] NAME[:TAG|@DIGEST]',
  summary: 'Download an image from a registry',
  flags: pullFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/pull.js')).pull(call),
});

export const loadFlags = {
  input: text('Read from tar archive file, instead of STDIN', 'i'),
  quiet: toggle('Suppress the load output', 'q'),
};

export const load = command({
  synopsis: '[OPTIONS]',
  summary: 'Load an image from a tar archive or STDIN',
  flags: loadFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/load.js')).load(call),
});

export const imagesFlags = {
  all: toggle('Show all images, also intermediate ones, of which there are none here', 'a'),
  digests: toggle('Show digests'),
  filter: parsedList('filter', 'Filter output based on conditions provided', parseFilter, 'f'),
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  'no-trunc': toggle("Don't truncate output"),
  quiet: toggle('Only show image IDs', 'q'),
};

export const images = command({
  synopsis: '[OPTIONS] [REPOSITORY[:TAG]]',
  summary: 'List images',
  flags: imagesFlags,
  arity: atMost(1),
  run: async call => (await import('../verbs/images.js')).images(call),
});

export const removeImageFlags = { force: toggle('Force removal of the image', 'f') };

export const removeImage = command({
  synopsis: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Remove one or more images',
  flags: removeImageFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/images.js')).removeImages(call),
});

export const tag = command({
  synopsis: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
  flags: {},
  arity: exactly(2),
  run: async call => (await import('../verbs/images.js')).tag(call),
});

export const pruneImagesFlags = {
  all: toggle('Remove all unused images, not just dangling ones', 'a'),
  filter: parsedList('filter', 'Only those with a label ("label=<key>=<value>")', parseFilter),
  force: toggle('Do not prompt for confirmation', 'f'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove unused images',
  flags: pruneImagesFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/prune.js')).pruneImages(call),
});

export const image: Group = {
  kind: 'group',
  summary: 'Manage images',
  commands: { inspect: inspectOf('image'), load, ls: images, prune, pull, push, rm: removeImage, tag },
  aliases: { list: 'ls', remove: 'rm' },
};
