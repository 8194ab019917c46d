import { atLeast, command, exactly } from '../command.js';
import { integer, parsed, text, toggle } from '../flags.js';
import { parseBytes, parseDecimal, parseSwap } from '../units.js';

export const statsFlags = {
  all: toggle('Show all containers (default shows just running)', 'a'),
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  'no-stream': toggle('Disable streaming stats and only pull the first result'),
  'no-trunc': toggle('Do not truncate output'),
};

export const stats = command({
  synopsis: '[OPTIONS] [CONTAINER...]',
  summary: 'Display a live stream of container(s) resource usage statistics',
  flags: statsFlags,
  arity: atLeast(0),
  run: async call => (await import('../verbs/stats.js')).stats(call),
});

export const top = command({
  synopsis: 'CONTAINER [ps OPTIONS]',
  summary: 'Display the running processes of a container',
  flags: {},
  arity: atLeast(1),
  passThrough: true,
  run: async call => (await import('../verbs/top.js')).top(call),
});

export const rename = command({
  synopsis: 'CONTAINER NEW_NAME',
  summary: 'Rename a container',
  flags: {},
  arity: exactly(2),
  run: async call => (await import('../verbs/rename.js')).rename(call),
});

export const updateFlags = {
  'blkio-weight': integer('Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)'),
  'cpu-period': integer('Limit the CPU CFS (Completely Fair Scheduler) period'),
  'cpu-quota': integer('Limit the CPU CFS (Completely Fair Scheduler) quota'),
  'cpu-shares': integer('CPU shares (relative weight)', 'c'),
  cpus: parsed('decimal', 'Number of CPUs', parseDecimal),
  'cpuset-cpus': text('CPUs in which to allow execution (0-3, 0,1)'),
  'cpuset-mems': text('MEMs in which to allow execution (0-3, 0,1)'),
  memory: parsed('bytes', 'Memory limit', parseBytes, 'm'),
  'memory-reservation': parsed('bytes', 'Memory soft limit', parseBytes),
  'memory-swap': parsed('bytes', "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", parseSwap),
  'pids-limit': integer('Tune container pids limit (set -1 for unlimited)'),
  restart: text('Restart policy to apply when a container exits'),
};

export const update = command({
  synopsis: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Update configuration of one or more containers',
  flags: updateFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/update.js')).update(call),
});
