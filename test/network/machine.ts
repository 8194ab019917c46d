import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { test as jestTest } from '@jest/globals';

import { helperPath } from '../../lib/host/binary.js';
import { Plan, type PlanField } from '../../lib/host/plan.js';
import { needs } from '../support/needs.js';

type Op = readonly [string, ...PlanField[]];

/** `test`, left out where this user may not make network namespaces, or has not the programs that a {@link Machine} is. */
export const testAsRoot: typeof jestTest.skip = needs('root', 'ip', 'unshare', 'nsenter').test;

/**
 * A network namespace with its own loopback, routes, firewall and /sys: a machine that vanishes with all that was made on
 * it. Programs run in it by {@link Machine.run}.
 */
export class Machine implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), 'machine-'));
  readonly #holder: ChildProcess;
  readonly #children: ChildProcess[] = [];

  private constructor() {
    this.#holder = spawn(
      'unshare',
      [
        ...['-n', '-m', 'sh', '-c'],
        // Control groups stay those of the machine that this is.
        `mkdir ${this.path}/cgroup && mount --rbind /sys/fs/cgroup ${this.path}/cgroup && mount -t sysfs sysfs /sys && ` +
          `mount --rbind ${this.path}/cgroup /sys/fs/cgroup && umount -l ${this.path}/cgroup && ` +
          'ip link set lo up && echo up && exec sleep 3600',
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    this.#children.push(this.#holder);
  }

  static async start(): Promise<Machine> {
    const machine = new Machine();
    await once(machine.#holder.stdout as Readable, 'data');
    return machine;
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  /** The words that run a program on this machine. */
  within(...command: string[]): string[] {
    return ['nsenter', '-t', String(this.pid), '-n', '-m', ...command];
  }

  /** Runs a shell command on this machine and returns what it printed. */
  async run(command: string): Promise<string> {
    const [program = '', ...args] = this.within('sh', '-c', command);
    return (await promisify(execFile)(program, args)).stdout;
  }

  /** Another network namespace, with this machine as its host: a container without the rest. */
  async container(): Promise<Inner> {
    const [program = '', ...args] = this.within('unshare', '-n', 'sh', '-c', 'echo up && exec sleep 3600');
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    await once(child.stdout as Readable, 'data');
    return new Inner(this, child.pid ?? 0);
  }

  /** Runs the helper's `net` mode on this machine and returns its facts. */
  async net(ops: readonly Op[], prefix: readonly string[] = this.within()): Promise<Record<string, unknown>[]> {
    const plan = new Plan();
    for (const [name, ...fields] of ops) plan.op(name, ...fields);
    const [program = '', ...args] = [...prefix, helperPath(), 'net'];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    (child.stdio[3] as Writable).end(plan.encode());
    const facts: Record<string, unknown>[] = [];
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      facts.push(JSON.parse(line) as Record<string, unknown>);
    }
    return facts;
  }

  /** A process with an engine's networks, of this machine's only store. */
  async engine(): Promise<RemoteNetworks> {
    const program = fileURLToPath(new URL('./children/networks.js', import.meta.url));
    const [first = '', ...args] = this.within(
      process.execPath,
      program,
      join(this.path, 'root'),
      join(this.path, 'run'),
    );
    const child = spawn(first, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return new RemoteNetworks(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A network namespace inside of a machine. */
export class Inner {
  constructor(
    readonly machine: Machine,
    readonly pid: number,
  ) {}

  within(...command: string[]): string[] {
    return ['nsenter', '-t', String(this.pid), '-n', ...command];
  }

  async run(command: string): Promise<string> {
    const [program = '', ...args] = this.within('sh', '-c', command);
    return (await promisify(execFile)(program, args)).stdout;
  }

  /** Carries out what an attachment says, as the monitor and the container's first process do. */
  async connect(attachment: {
    readonly hostOps: readonly Op[];
    readonly insideOps: readonly Op[];
  }): Promise<Record<string, unknown>[]> {
    const host = attachment.hostOps.map(([name, ...fields]) => [name, ...fields, this.pid] as const);
    const outside = await this.machine.net(host);
    return [...outside, ...(await this.machine.net(attachment.insideOps, this.within()))];
  }

  /** Listens on a port and answers every connection with a word. Resolves when it listens. */
  async serve(port: number, word: string): Promise<ChildProcess> {
    const script = `require('net').createServer(s=>s.end('${word}')).listen(${port},'0.0.0.0',()=>console.log('up'))`;
    const [program = '', ...args] = this.within(process.execPath, '-e', script);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout as Readable, 'data');
    return child;
  }

  /** What a server says, or why it cannot be reached within a second. */
  async ask(ip: string, port: number): Promise<string> {
    return this.run(askCommand(ip, port));
  }
}

/** The same from the machine itself. */
export function askCommand(ip: string, port: number): string {
  const script = `const s=require('net').connect(${port},'${ip}').on('data',d=>{console.log(String(d));process.exit()}).on('error',e=>{console.log(e.code);process.exit()});setTimeout(()=>{console.log('silence');process.exit()},1000)`;
  return `${process.execPath} -e "${script}" | tr -d '\\n'`;
}

/** Asks a process with networks. */
export class RemoteNetworks {
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
  #next = 0;

  constructor(readonly child: ChildProcess) {
    void this.#read();
  }

  async call<T = unknown>(method: string, ...args: unknown[]): Promise<T> {
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.child.stdin?.write(`${JSON.stringify({ id, method, args })}\n`);
    return (await answer) as T;
  }

  /** SIGKILL, as the one who pulls the plug. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
  }

  /** Ends as a program does that never closes its engine. */
  async end(): Promise<void> {
    this.child.stdin?.end();
    await once(this.child, 'close');
  }

  async #read(): Promise<void> {
    for await (const line of createInterface({ input: this.child.stdout as Readable })) {
      const { id, value, error } = JSON.parse(line) as { id: number; value?: unknown; error?: object };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(error);
    }
  }
}

/** Whether there is an nft program on this machine. */
export const hasNft = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft'].some(path => existsSync(path));
