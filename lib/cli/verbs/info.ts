import { cpus, hostname, release, totalmem } from 'node:os';

import type { Invocation } from '../command.js';
import type { formatFlags } from '../commands/system.js';
import { toJson } from '../format.js';
import { print, withEngine } from '../session.js';
import { Template } from '../template.js';
import { packageVersion } from './version.js';

/** `info`. */
export async function info({ globals, flags }: Invocation<typeof formatFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const states = (
      await Promise.all((await engine.containers.list({}, { signal })).map(container => container.inspect()))
    ).map(({ state }) => state);
    const features = await engine.features();
    const facts = {
      Containers: states.length,
      ContainersRunning: states.filter(state => state === 'running').length,
      ContainersStopped: states.filter(state => state !== 'running').length,
      Images: (await engine.images.list({}, { signal })).length,
      ServerVersion: packageVersion(),
      KernelVersion: release(),
      OSType: 'linux',
      Architecture: process.arch,
      NCPU: cpus().length,
      MemTotal: totalmem(),
      DockerRootDir: engine.root,
      Name: hostname(),
      Lacking: Object.entries(features)
        .filter(([, { available }]) => !available)
        .map(([name]) => name),
    };
    if (flags.format === 'json') print(toJson(facts));
    else if (flags.format !== undefined) print(new Template(flags.format).render(facts));
    else print(toText(facts));
    return 0;
  });
}

interface Facts {
  readonly Containers: number;
  readonly ContainersRunning: number;
  readonly ContainersStopped: number;
  readonly Images: number;
  readonly ServerVersion: string;
  readonly KernelVersion: string;
  readonly Architecture: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly DockerRootDir: string;
  readonly Name: string;
  readonly Lacking: readonly string[];
}

function toText(facts: Facts): string {
  return [
    `Containers: ${facts.Containers}`,
    ` Running: ${facts.ContainersRunning}`,
    ` Stopped: ${facts.ContainersStopped}`,
    `Images: ${facts.Images}`,
    `Version: ${facts.ServerVersion}`,
    `Kernel Version: ${facts.KernelVersion}`,
    `Architecture: ${facts.Architecture}`,
    `CPUs: ${facts.NCPU}`,
    `Total Memory: ${(facts.MemTotal / 2 ** 30).toPrecision(4)}GiB`,
    `Name: ${facts.Name}`,
    `Root Dir: ${facts.DockerRootDir}`,
    `Lacking: ${facts.Lacking.length === 0 ? 'nothing' : `${facts.Lacking.join(', ')} (see tscontainer doctor)`}`,
  ].join('\n');
}
