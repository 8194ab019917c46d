import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, machine, release, totalmem, type } from 'node:os';

import { describeCgroups } from '../host/cgroups.js';
import type { EngineInfo, Features } from '../types.js';
import type { State } from './state.js';

/** What the engine knows already. */
export interface InfoSources {
  readonly root: string;
  readonly snapshotter: 'overlay' | 'plain';
  readonly images: number;
  readonly states: readonly State['name'][];
  readonly features: Features;
}

/** What Docker warns of in `info`: what users ask for by a flag, and do not get here. */
const warned = [
  'memoryLimit',
  'cpuLimit',
  'pidsLimit',
  'blockIo',
  'freezer',
  'devices',
  'bridge',
  'masquerade',
  'seccomp',
] as const satisfies readonly (keyof Features)[];

/** Adds what the machine says of itself. */
export function engineInfo({ root, snapshotter, images, states, features }: InfoSources): EngineInfo {
  const count = (name: State['name']): number => states.filter(state => state === name).length;
  const [running, paused] = [count('running'), count('paused')];
  const { mode } = describeCgroups();
  return {
    version: packageVersion(),
    containers: { total: states.length, running, paused, stopped: states.length - running - paused },
    images,
    root,
    snapshotter,
    cgroupVersion: mode === 'none' ? undefined : mode === 'v2' ? 2 : 1,
    security: [
      ...(features.seccomp.available ? (['seccomp'] as const) : []),
      ...(features.appArmor.available ? (['apparmor'] as const) : []),
    ],
    kernelVersion: release(),
    operatingSystem: operatingSystem(),
    architecture: machine(),
    hostname: hostname(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    warnings: warned.flatMap(name => {
      const feature = features[name];
      return feature.available ? [] : [`No ${name}: ${feature.reason}; to get it: ${feature.remedy}`];
    }),
  };
}

/** Of the package that this file came with. */
function packageVersion(): string {
  const path = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** As os-release(5) has it. */
function operatingSystem(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      const [, name] = /^PRETTY_NAME=(?:"([^"\n]*)"|.*)$/m.exec(readFileSync(path, 'utf8')) ?? [];
      if (name !== undefined) return name;
    } catch {
      // The other one, then; a container of its own may have neither.
    }
  }
  return type();
}
