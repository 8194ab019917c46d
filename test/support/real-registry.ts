import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { hash } from 'bcryptjs';

import { programPath } from './needs.js';

/** Debian's `docker-registry`, on a loopback port that the kernel chose, with its content in a folder of its own. */
export class RealRegistry implements AsyncDisposable {
  readonly host: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(host: string, process: ChildProcess, folder: string) {
    this.host = host;
    this.#process = process;
    this.#folder = folder;
  }

  static async start(login?: { readonly username: string; readonly password: string }): Promise<RealRegistry> {
    const folder = mkdtempSync(join(tmpdir(), 'tscontainer-registry-'));
    const config = join(folder, 'config.yml');
    writeFileSync(config, await configuration(folder, login));
    const registry = spawn(programPath('docker-registry') ?? '', ['serve', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return new RealRegistry(await listening(registry), registry, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true });
  }
}

async function configuration(folder: string, login?: { username: string; password: string }): Promise<string> {
  const path = join(folder, 'htpasswd');
  if (login !== undefined) writeFileSync(path, `${login.username}:${await hash(login.password, 4)}\n`);
  return JSON.stringify({
    version: '0.1',
    log: { level: 'info', formatter: 'text' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0' },
    ...(login !== undefined && { auth: { htpasswd: { realm: 'Registry Realm', path } } }),
  });
}

/** It says on which port, once it is. */
async function listening(registry: ChildProcess): Promise<string> {
  const said: string[] = [];
  for await (const line of createInterface({ input: registry.stderr as NodeJS.ReadableStream })) {
    const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (host === undefined) {
      said.push(line);
      continue;
    }
    // Whatever it says from now on must not fill the pipe.
    registry.stderr?.resume();
    return host;
  }
  throw new TypeError(`docker-registry did not start:\n${said.join('\n')}`);
}
