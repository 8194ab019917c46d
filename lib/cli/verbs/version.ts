import { readFileSync } from 'node:fs';
import { arch, platform, release } from 'node:os';

import type { Invocation } from '../command.js';
import type { formatFlags } from '../commands/system.js';
import { toJson } from '../format.js';
import { PROGRAM } from '../help.js';
import { print } from '../session.js';
import { Template } from '../template.js';

/** `--version`. */
export function shortVersion(): number {
  print(`${PROGRAM} version ${packageVersion()}`);
  return 0;
}

/** `version`. */
export async function version({ flags }: Invocation<typeof formatFlags>): Promise<number> {
  const facts = {
    Version: packageVersion(),
    Node: process.version.slice(1),
    Os: platform(),
    Arch: arch(),
    KernelVersion: release(),
  };
  if (flags.format === 'json') print(toJson(facts));
  else if (flags.format !== undefined) print(new Template(flags.format).render(facts));
  else {
    print(PROGRAM);
    print(
      ` Version:         ${facts.Version}\n Node:            ${facts.Node}\n OS/Arch:         ${facts.Os}/${facts.Arch}\n Kernel:          ${facts.KernelVersion}`,
    );
  }
  return 0;
}

/** Of the package that this file came with. */
export function packageVersion(): string {
  const path = new URL('../../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
