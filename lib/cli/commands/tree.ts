import type { Command, Group } from '../command.js';
import { text, toggle } from '../flags.js';
import {
  attach,
  container,
  create,
  exec,
  inspect,
  kill,
  logs,
  pause,
  port,
  ps,
  remove,
  restart,
  run,
  start,
  stop,
  unpause,
  wait,
} from './container.js';
import { commit, copy, diff, exportContainer } from './files.js';
import { history, image, images, importImage, load, pull, removeImage, save, tag } from './image.js';
import { network } from './network.js';
import { rename, stats, top, update } from './observe.js';
import { login, logout, push, registry, search } from './registry.js';
import { doctor, events, info, system, version } from './system.js';
import { volume } from './volume.js';

/** Flags that may stand before the verb. */
export const globalFlags = {
  debug: toggle('Enable debug mode: errors come with their stack', 'D'),
  root: { ...text('Where the store is'), shown: '"/var/lib/tscontainer" as root' },
  'run-root': { ...text('Where sockets and running state are'), shown: '"/run/tscontainer" as root' },
  version: toggle('Print version information and quit', 'v'),
};

/** All there is. */
export const root: Group = {
  kind: 'group',
  summary: 'Containers without a daemon',
  commands: {
    attach,
    commit,
    container,
    cp: copy,
    create,
    diff,
    doctor,
    events,
    exec,
    export: exportContainer,
    history,
    image,
    images,
    import: importImage,
    info,
    inspect,
    kill,
    load,
    login,
    logout,
    logs,
    network,
    pause,
    port,
    ps,
    pull,
    push,
    registry,
    rename,
    restart,
    rm: remove,
    rmi: removeImage,
    run,
    save,
    search,
    start,
    stats,
    stop,
    system,
    tag,
    top,
    unpause,
    update,
    version,
    volume,
    wait,
  },
};

/** All the names by which a command can be called. */
export function namesOf(command: Command): string[] {
  return names(root, command, '');
}

function names(group: Group, wanted: Command, prefix: string): string[] {
  const aliases = Object.entries(group.aliases ?? {});
  return Object.entries(group.commands).flatMap(([name, entry]) => {
    if (entry.kind === 'group') return names(entry, wanted, `${prefix}${name} `);
    if (entry !== wanted) return [];
    return [name, ...aliases.filter(([, of]) => of === name).map(([alias]) => alias)].map(each => prefix + each);
  });
}
