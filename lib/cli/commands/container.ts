import { atLeast, atMost, command, exactly, type Group } from '../command.js';
import { integer, list, parsedList, text, toggle } from '../flags.js';
import { checkEnv, parseFilter } from '../pairs.js';
import { rename, stats, top, update } from './observe.js';
import { commit, copy, diff, exportContainer } from './files.js';
import { attachFlags, createFlags, runFlags } from './run-flags.js';

const filter = (): ReturnType<typeof parsedList<readonly [string, string]>> =>
  parsedList('filter', 'Filter output based on conditions provided', parseFilter, 'f');
const format = (): ReturnType<typeof text> => text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template");

const RUN_SYNOPSIS = '[OPTIONS] IMAGE [COMMAND] [ARG...]';
const SOME_CONTAINERS = '[OPTIONS] CONTAINER [CONTAINER...]';

export const run = command({
  synopsis: RUN_SYNOPSIS,
  summary: 'Create and run a new container from an image',
  flags: runFlags,
  arity: atLeast(1),
  passThrough: true,
  failure: 125,
  run: async call => (await import('../verbs/run.js')).run(call),
});

export const create = command({
  synopsis: RUN_SYNOPSIS,
  summary: 'Create a new container',
  flags: createFlags,
  arity: atLeast(1),
  passThrough: true,
  failure: 125,
  run: async call => (await import('../verbs/run.js')).create(call),
});

export const startFlags = {
  ...attachFlags,
  attach: toggle('Attach STDOUT/STDERR and forward signals', 'a'),
  interactive: toggle("Attach container's STDIN", 'i'),
};

export const start = command({
  synopsis: SOME_CONTAINERS,
  summary: 'Start one or more stopped containers',
  flags: startFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).start(call),
});

export const stopFlags = {
  signal: text('Signal to send to the container', 's'),
  time: integer('The older name of --timeout'),
  timeout: integer('Seconds to wait before killing the container', 't'),
};

export const stop = command({
  synopsis: SOME_CONTAINERS,
  summary: 'Stop one or more running containers',
  flags: stopFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).stop(call),
});

export const restart = command({
  synopsis: SOME_CONTAINERS,
  summary: 'Restart one or more containers',
  flags: stopFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).restart(call),
});

export const pause = command({
  synopsis: 'CONTAINER [CONTAINER...]',
  summary: 'Pause all processes within one or more containers',
  flags: {},
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).pause(call),
});

export const unpause = command({
  synopsis: 'CONTAINER [CONTAINER...]',
  summary: 'Unpause all processes within one or more containers',
  flags: {},
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).unpause(call),
});

export const killFlags = { signal: { ...text('Signal to send to the container', 's'), shown: 'SIGKILL' } };

export const kill = command({
  synopsis: SOME_CONTAINERS,
  summary: 'Kill one or more running containers',
  flags: killFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).kill(call),
});

export const removeFlags = {
  force: toggle('Force the removal of a running container (uses SIGKILL)', 'f'),
  volumes: toggle('Remove anonymous volumes associated with the container', 'v'),
};

export const remove = command({
  synopsis: SOME_CONTAINERS,
  summary: 'Remove one or more containers',
  flags: removeFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).remove(call),
});

export const wait = command({
  synopsis: 'CONTAINER [CONTAINER...]',
  summary: 'Block until one or more containers stop, then print their exit codes',
  flags: {},
  arity: atLeast(1),
  run: async call => (await import('../verbs/lifecycle.js')).wait(call),
});

export const psFlags = {
  all: toggle('Show all containers (default shows just running)', 'a'),
  filter: filter(),
  format: format(),
  last: integer('Show n last created containers (includes all states)', 'n'),
  latest: toggle('Show the latest created container (includes all states)', 'l'),
  'no-trunc': toggle("Don't truncate output"),
  quiet: toggle('Only display container IDs', 'q'),
  size: toggle('Display total file sizes', 's'),
};

export const ps = command({
  synopsis: '[OPTIONS]',
  summary: 'List containers',
  flags: psFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/ps.js')).ps(call),
});

export const logsFlags = {
  details: toggle('Show extra details provided to logs'),
  follow: toggle('Follow log output', 'f'),
  since: text('Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
  tail: { ...text('Number of lines to show from the end of the logs', 'n'), shown: '"all"' },
  timestamps: toggle('Show timestamps', 't'),
  until: text('Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
};

export const logs = command({
  synopsis: '[OPTIONS] CONTAINER',
  summary: 'Fetch the logs of a container',
  flags: logsFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/logs.js')).logs(call),
});

export const execFlags = {
  detach: toggle('Detached mode: run command in the background', 'd'),
  'detach-keys': text('Override the key sequence for detaching a container'),
  env: list('Set environment variables', 'e', checkEnv),
  'env-file': list('Read in a file of environment variables'),
  interactive: toggle('Keep STDIN open even if not attached', 'i'),
  privileged: toggle('Give extended privileges to the command'),
  tty: toggle('Allocate a pseudo-TTY', 't'),
  user: text('Username or UID (format: "<name|uid>[:<group|gid>]")', 'u'),
  workdir: text('Working directory inside the container', 'w'),
};

export const exec = command({
  synopsis: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  summary: 'Execute a command in a running container',
  flags: execFlags,
  arity: atLeast(2),
  passThrough: true,
  run: async call => (await import('../verbs/exec.js')).exec(call),
});

export const attachOnlyFlags = { ...attachFlags, 'no-stdin': toggle('Do not attach STDIN') };

export const attach = command({
  synopsis: '[OPTIONS] CONTAINER',
  summary: 'Attach local standard input, output, and error streams to a running container',
  flags: attachOnlyFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/attach.js')).attach(call),
});

export const port = command({
  synopsis: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  summary: 'List port mappings or a specific mapping for the container',
  flags: {},
  arity: { min: 1, max: 2 },
  run: async call => (await import('../verbs/port.js')).port(call),
});

export const inspectFlags = {
  format: text("Format output: 'json' or a Go template", 'f'),
  size: toggle('Display total file sizes if the type is container', 's'),
  type: text('Only inspect objects of the given type: container, image, network or volume'),
};

export const inspect = command({
  synopsis: '[OPTIONS] NAME|ID [NAME|ID...]',
  summary: 'Return low-level information on containers, images, networks and volumes',
  flags: inspectFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/inspect.js')).inspect(call),
});

export const inspectOneKindFlags = { format: inspectFlags.format };
const inspectContainerFlags = { format: inspectFlags.format, size: inspectFlags.size };

/** `image inspect` and its like. */
export function inspectOf(
  kind: 'image' | 'network' | 'volume',
): ReturnType<typeof command<typeof inspectOneKindFlags>> {
  return command({
    synopsis: `[OPTIONS] ${kind.toUpperCase()} [${kind.toUpperCase()}...]`,
    summary: `Display detailed information on one or more ${kind}s`,
    flags: inspectOneKindFlags,
    arity: atLeast(1),
    run: async call =>
      (await import('../verbs/inspect.js')).inspect({ ...call, flags: { size: false, ...call.flags, type: kind } }),
  });
}

const inspectContainer = command({
  synopsis: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Display detailed information on one or more containers',
  flags: inspectContainerFlags,
  arity: atLeast(1),
  run: async call =>
    (await import('../verbs/inspect.js')).inspect({ ...call, flags: { ...call.flags, type: 'container' } }),
});

export const pruneFlags = {
  filter: parsedList('filter', 'Provide filter values (e.g. "until=<timestamp>", "label=<key>=<value>")', parseFilter),
  force: toggle('Do not prompt for confirmation', 'f'),
};

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove all stopped containers',
  flags: pruneFlags,
  arity: atMost(0),
  run: async call => (await import('../verbs/prune.js')).pruneContainers(call),
});

export const container: Group = {
  kind: 'group',
  summary: 'Manage containers',
  commands: {
    attach,
    commit,
    cp: copy,
    create,
    diff,
    exec,
    export: exportContainer,
    inspect: inspectContainer,
    kill,
    logs,
    ls: ps,
    pause,
    port,
    prune,
    rename,
    restart,
    rm: remove,
    run,
    start,
    stats,
    stop,
    top,
    unpause,
    update,
    wait,
  },
  aliases: { list: 'ls', ps: 'ls', remove: 'rm' },
};
