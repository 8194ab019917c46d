import { command, exactly } from '../command.js';
import { list, text, toggle } from '../flags.js';
import { PROGRAM } from '../help.js';

export const copyFlags = {
  archive: toggle('Archive mode (copy all uid/gid information)', 'a'),
  'follow-link': toggle('Always follow symbol link in SRC_PATH', 'L'),
  quiet: toggle('Suppress what is said at the end. Without a terminal, nothing is said', 'q'),
};

export const copy = command({
  synopsis: `[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\t${PROGRAM} cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH`,
  summary:
    "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
  flags: copyFlags,
  arity: exactly(2),
  run: async call => (await import('../verbs/cp.js')).copy(call),
});

export const diff = command({
  synopsis: 'CONTAINER',
  summary: "Inspect changes to files or directories on a container's filesystem",
  flags: {},
  arity: exactly(1),
  run: async call => (await import('../verbs/diff.js')).diff(call),
});

export const exportFlags = { output: text('Write to a file, instead of STDOUT', 'o') };

export const exportContainer = command({
  synopsis: '[OPTIONS] CONTAINER',
  summary: "Export a container's filesystem as a tar archive",
  flags: exportFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/export.js')).exportContainer(call),
});

export const commitFlags = {
  author: text('Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', 'a'),
  change: list('Apply Dockerfile instruction to the created image', 'c'),
  message: text('Commit message', 'm'),
  pause: toggle('Pause container during commit', 'p', true),
};

export const commit = command({
  synopsis: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  summary: "Create a new image from a container's changes",
  flags: commitFlags,
  arity: { min: 1, max: 2 },
  run: async call => (await import('../verbs/commit.js')).commit(call),
});
