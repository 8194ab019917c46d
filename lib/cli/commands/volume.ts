import { atLeast, atMost, command, exactly, type Group } from '../command.js';
import { list, parsedList, text, toggle } from '../flags.js';
import { checkLabel, parseFilter, parsePair } from '../pairs.js';
import { inspectOf } from './container.js';
import { listFlags, removeNamedFlags } from './network.js';

export const createVolumeFlags = {
  driver: { ...text('Specify volume driver name: local', 'd'), shown: '"local"' },
  label: list('Set metadata for a volume', undefined, checkLabel),
  opt: parsedList('map', 'Set driver specific options', parsePair, 'o'),
};

const create = command({
  synopsis: '[OPTIONS] [VOLUME]',
  summary: 'Create a volume',
  flags: createVolumeFlags,
  arity: atMost(1),
  run: async call => (await import('../verbs/volumes.js')).createVolume(call),
});

const ls = command({
  synopsis: '[OPTIONS]',
  summary: 'List volumes',
  flags: listFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/volumes.js')).listVolumes(call),
});

const rm = command({
  synopsis: '[OPTIONS] VOLUME [VOLUME...]',
  summary: 'Remove one or more volumes',
  flags: removeNamedFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/volumes.js')).removeVolumes(call),
});

export const pruneVolumesFlags = {
  all: toggle('Remove all unused volumes, not just anonymous ones', 'a'),
  filter: parsedList('filter', 'Provide filter values (e.g. "label=<label>")', parseFilter),
  force: toggle('Do not prompt for confirmation', 'f'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove unused local volumes',
  flags: pruneVolumesFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/prune.js')).pruneVolumes(call),
});

export const volume: Group = {
  kind: 'group',
  summary: 'Manage volumes',
  commands: { create, inspect: inspectOf('volume'), ls, prune, rm },
  aliases: { list: 'ls', remove: 'rm' },
};
