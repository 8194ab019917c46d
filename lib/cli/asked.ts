import { resolve } from 'node:path';

import type { Asked } from '../container/asked.js';
import type { createFlags } from './commands/run-flags.js';
import type { Values } from './flags.js';

/** What was asked for, word by word, where the engine's options do not tell: for `inspect`. */
export function askedFor(flags: Values<typeof createFlags>): Asked {
  const spec = (text: string): readonly [string, string] => {
    const at = text.indexOf(':');
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  };
  const isUnconfined = flags.privileged || flags.ipc === 'host' || flags.pid === 'host';
  const fields: { readonly [K in keyof Asked]: Asked[K] | undefined } = {
    binds: some(flags.volume.filter(text => text.includes(':')).map(absolute)),
    volumes: some(flags.volume.filter(text => !text.includes(':'))),
    tmpfs: flags.tmpfs.length === 0 ? undefined : Object.fromEntries(flags.tmpfs.map(spec)),
    volumesFrom: some(flags['volumes-from']),
    cwd: flags.workdir,
    stopTimeout: flags['stop-timeout'],
    cidFile: flags.cidfile,
    // The client reads the file and sends what is in it; its name is told elsewhere.
    securityOptions: flags['security-opt'].some(text => /^seccomp[=:](?!unconfined|builtin)/.test(text))
      ? undefined
      : some([...flags['security-opt'], ...(isUnconfined ? ['label=disable'] : [])]),
    logOptions: flags['log-opt'].length === 0 ? undefined : Object.fromEntries(flags['log-opt']),
    extraHosts: some(flags['add-host'].map(([name, address]) => `${name}:${address}`)),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function absolute(text: string): string {
  const [source = '', ...rest] = text.split(':');
  return [/^[.~]/.test(source) ? resolve(source) : source, ...rest].join(':');
}

function some<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
