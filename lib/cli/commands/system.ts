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

export const diskUsageFlags = {
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  verbose: toggle('Show detailed information on space usage', 'v'),
};

const df = command({
  synopsis: '[OPTIONS]',
  summary: 'Show disk usage',
  flags: diskUsageFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/system-df.js')).diskUsage(call),
});

export const checkFlags = {
  format: text("Format output: 'json'"),
  quick: toggle('Look at what is there and how large it is, and read no layer'),
  repair: toggle('Take away what is broken'),
};

const check = command({
  synopsis: '[OPTIONS]',
  summary: 'Verify images and all content of the store',
  flags: checkFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/system-check.js')).check(call),
});

export const systemPruneFlags = {
  all: toggle('Remove all unused images not just dangling ones', 'a'),
  filter: parsedList('filter', 'Provide filter values (e.g. "label=<key>=<value>")', parseFilter),
  force: toggle('Do not prompt for confirmation', 'f'),
  volumes: toggle('Prune anonymous volumes'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove unused data',
  flags: systemPruneFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/system-prune.js')).pruneSystem(call),
});

export const system: Group = {
  kind: 'group',
  summary: 'Manage the store',
  commands: { check, df, events, info, prune },
};
