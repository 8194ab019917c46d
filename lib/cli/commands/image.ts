import { atLeast, atMost, command, exactly, type Group } from '../command.js';
import { list, parsedList, text, toggle } from '../flags.js';
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
  platform: text('Load only the given platform variant (os/arch[/variant])'),
  quiet: toggle('Suppress the load output', 'q'),
};

export const load = command({
  synopsis: '[OPTIONS]',
  summary: 'Load an image from a tar archive or STDIN',
  flags: loadFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/load.js')).load(call),
});

export const saveFlags = {
  format: text("'docker' (an OCI layout that docker load of any version reads) or 'oci'"),
  output: text('Write to a file, instead of STDOUT', 'o'),
  platform: text("Save only the given platform variant (os/arch[/variant]), or 'all'"),
};

export const save = command({
  synopsis: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
  flags: saveFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/save.js')).save(call),
});

export const importFlags = {
  change: list('Apply Dockerfile instruction to the created image', 'c'),
  message: text('Set commit message for imported image', 'm'),
  platform: text('Set platform of the image (os/arch[/variant])'),
};

export const importImage = command({
  synopsis: '[OPTIONS] file|URL|- [REPOSITORY[:TAG]]',
  summary: 'Import the contents from a tarball to create a filesystem image',
  flags: importFlags,
  arity: { min: 1, max: 2 },
  run: async call => (await import('../verbs/import.js')).importImage(call),
});

export const historyFlags = {
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  human: toggle('Print sizes and dates in human readable format', 'H', true),
  'no-trunc': toggle("Don't truncate output"),
  platform: text('Show history for the given platform (os/arch[/variant])'),
  quiet: toggle('Only show image IDs', 'q'),
};

export const history = command({
  synopsis: '[OPTIONS] IMAGE',
  summary: 'Show the history of an image',
  flags: historyFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/history.js')).history(call),
});

const mount = command({
  synopsis: 'IMAGE',
  summary: 'Print a directory that shows the files of an image, read-only, until interrupted',
  flags: {},
  arity: exactly(1),
  run: async call => (await import('../verbs/image-mount.js')).mountImage(call),
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

export const removeImageFlags = {
  force: toggle('Force removal of the image', 'f'),
  'no-prune': toggle('Leave on the disk what the image was made of, until the next prune'),
  platform: text('Remove only the given platform variant (os/arch[/variant])'),
};

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
  filter: parsedList('filter', 'Provide filter values (e.g. "until=<timestamp>")', parseFilter),
  force: toggle('Do not prompt for confirmation', 'f'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove unused images',
  flags: pruneImagesFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/image-prune.js')).pruneImages(call),
});

export const image: Group = {
  kind: 'group',
  summary: 'Manage images',
  commands: {
    history,
    import: importImage,
    inspect: inspectOf('image'),
    load,
    ls: images,
    mount,
    prune,
    pull,
    push,
    rm: removeImage,
    save,
    tag,
  },
  aliases: { list: 'ls', remove: 'rm' },
};
