import { command, exactly, type Group } from '../command.js';
import { parsed, parsedList, text, toggle } from '../flags.js';
import { parseFilter } from '../pairs.js';
import { parseInstant } from '../units.js';

export const eventsFlags = {
  filter: parsedList('filter', 'Filter output based on conditions provided', parseFilter, 'f'),
  format: text("Format output: 'json' or a Go template"),
  since: parsed('string', 'Show all events created since timestamp', value => parseInstant(value)),
  until: parsed('string', 'Stream events until this timestamp', value => parseInstant(value)),
};

export const events = command({
  synopsis: '[OPTIONS]',
  summary: 'Get real time events of all processes that use the store',
  flags: eventsFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/events.js')).events(call),
});

export const formatFlags = { format: text("Format output: 'json' or a Go template", 'f') };

export const info = command({
  synopsis: '[OPTIONS]',
  summary: 'Display system-wide information',
  flags: formatFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/info.js')).info(call),
});

export const version = command({
  synopsis: '[OPTIONS]',
  summary: 'Show the version information',
  flags: formatFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/version.js')).version(call),
});

export const doctorFlags = { format: text("Format output: 'json'") };

export const doctor = command({
  synopsis: '[OPTIONS]',
  summary: 'Say what this machine can do and, where it cannot, what would make it so',
  flags: doctorFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/doctor.js')).doctor(call),
});

export const systemPruneFlags = {
  all: toggle('Remove all unused images not just dangling ones', 'a'),
  force: toggle('Do not prompt for confirmation', 'f'),
  volumes: toggle('Prune anonymous volumes'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove unused data',
  flags: systemPruneFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/prune.js')).pruneSystem(call),
});

export const system: Group = {
  kind: 'group',
  summary: 'Manage the store',
  commands: { events, info, prune },
};
