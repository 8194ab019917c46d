import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

import { EventEmitter } from 'eventemitter3';

import { SyscallError, errorCode } from '../errors.js';
import { helperPath } from './binary.js';
import { type Fact, toSyscallError } from './job.js';
import { Plan, type PlanField } from './plan.js';

const HEADER = 5;
/** Frame types, as in `native/wire.h`. */
const frame = { fact: 0, stdout: 1, stderr: 2, stdin: 3, op: 4 } as const;

interface ConnectionEvents {
  fact: [fact: Fact];
  stdout: [bytes: Buffer];
  stderr: [bytes: Buffer];
  /** The other side has said everything and gone. */
  close: [];
  /** What was written has been taken; more may come. */
  drain: [];
}

/** A framed conversation with a monitor or with the parent of an exec. */
export class Connection extends EventEmitter<ConnectionEvents> {
  readonly #socket: Socket;
  #rest: Buffer[] = [];
  #length = 0;
  #needed = HEADER;
  #requests = 0;
  closed = false;
  /** It was this side that closed it. */
  hungUp = false;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('drain', () => this.emit('drain'));
    // A connection that breaks is one that closes: what the other side recorded is on disk.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.emit('close');
    });
  }

  /** Asks for something while it runs: `kill`, `resize`, `attach`, `detach`, `disown`. */
  op(name: string, ...fields: readonly (string | number)[]): void {
    this.#send(frame.op, new Plan().op(name, ...fields).encodeBody());
  }

  /**
   * Asks for several things at once, and resolves with how it went: the ops are carried out in order until one fails. `false`
   * when the other side went away meanwhile.
   */
  async request(
    ops: readonly (readonly [string, ...PlanField[]])[],
  ): Promise<{ readonly ok: boolean; readonly facts: Fact[] }> {
    const id = ++this.#requests;
    const plan = new Plan().op('request', id);
    for (const [name, ...fields] of ops) plan.op(name, ...fields);
    return new Promise(resolve => {
      let facts: Fact[] = [];
      const finish = (ok: boolean): void => {
        this.off('fact', onFact);
        this.off('close', onClose);
        resolve({ ok, facts });
      };
      const onFact = (fact: Fact): void => {
        if (fact.fact !== 'answer') facts.push(fact);
        else if (fact['id'] === id) finish(fact['ok'] === true);
        else facts = []; // Those belonged to a request before ours.
      };
      const onClose = (): void => finish(false);
      this.on('fact', onFact);
      this.on('close', onClose);
      this.#send(frame.op, plan.op('end').encodeBody());
    });
  }

  /** `false` when the other side is behind: wait for `drain`. An empty chunk would close it, so none is sent. */
  stdin(bytes: Buffer): boolean {
    return bytes.length === 0 || this.#send(frame.stdin, bytes);
  }

  closeStdin(): void {
    this.#send(frame.stdin, Buffer.alloc(0));
  }

  /** Stops reading until {@link resume}: the process is held back in the end. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Whether this conversation keeps Node alive. */
  hold(keep: boolean): void {
    if (keep) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Hangs up when what was said has been taken. */
  end(): void {
    this.hungUp = true;
    this.#socket.end();
  }

  /** Hangs up. */
  destroy(): void {
    this.hungUp = true;
    this.#socket.destroy();
  }

  #send(type: number, bytes: Buffer): boolean {
    if (this.closed || this.#socket.destroyed) return true;
    const header = Buffer.allocUnsafe(HEADER);
    header.writeUInt8(type, 0);
    header.writeUInt32LE(bytes.length, 1);
    this.#socket.cork();
    this.#socket.write(header);
    const more = this.#socket.write(bytes);
    this.#socket.uncork();
    return more;
  }

  #take(bytes: Buffer): void {
    this.#rest.push(bytes);
    this.#length += bytes.length;
    if (this.#length < this.#needed) return;
    const all = this.#rest.length === 1 ? bytes : Buffer.concat(this.#rest, this.#length);
    let at = 0;
    this.#needed = HEADER;
    while (all.length - at >= HEADER) {
      const length = all.readUInt32LE(at + 1);
      if (all.length - at < HEADER + length) {
        this.#needed = HEADER + length;
        break;
      }
      const body = all.subarray(at + HEADER, at + HEADER + length);
      at += HEADER + length;
      this.#dispatch(all[at - HEADER - length] ?? 255, body);
    }
    this.#rest = at === all.length ? [] : [all.subarray(at)];
    this.#length = all.length - at;
  }

  #dispatch(type: number, body: Buffer): void {
    if (type === frame.fact) this.emit('fact', JSON.parse(body.toString('utf8')) as Fact);
    else if (type === frame.stdout) this.emit('stdout', body);
    else if (type === frame.stderr) this.emit('stderr', body);
  }
}

/**
 * The launcher: a small child of this process which forks the helper's other modes, because forking it takes a tenth
 * of a millisecond and forking Node several. It ends when this process does, however that happens.
 */
export class Helper {
  readonly #socketPath: string;
  #child: ChildProcess | undefined;
  #ready: Promise<void> | undefined;
  /** Those that end with the engine. */
  readonly #conversations = new Set<Connection>();

  constructor(runRoot: string) {
    this.#socketPath = join(runRoot, `launch-${process.pid}-${randomBytes(3).toString('hex')}.sock`);
  }

  /** Begins to start it, so that the first container need not wait. */
  warm(): void {
    this.#ready ??= this.#start();
    this.#ready.catch(() => {}); // Whoever calls next hears of it.
  }

  /**
   * Hands over a plan; facts and output come back on the connection.
   *
   * @param options.outlives - It is not hung up when the engine closes: a container's life depends on it.
   */
  async send(plan: Plan, options: { readonly outlives: boolean } = { outlives: false }): Promise<Connection> {
    this.#ready ??= this.#start();
    await this.#ready;
    const socket = await dial(this.#socketPath);
    const connection = new Connection(socket);
    socket.write(plan.encode());
    return options.outlives ? connection : this.#track(connection);
  }

  /** Connects to the socket that a running monitor serves. Rejects with the system's error when nobody listens. */
  async join(socketPath: string): Promise<Connection> {
    return this.#track(new Connection(await dial(socketPath)));
  }

  /** Ends the launcher. Containers are not its children's concern any more, and run on. */
  close(): void {
    for (const connection of this.#conversations) connection.destroy();
    this.#child?.stdin?.destroy();
    this.#child = undefined;
    this.#ready = Promise.reject(
      new SyscallError({
        call: 'engine',
        stage: 'launch',
        syscall: 'connect',
        errno: 'ECLOSED',
        remedy: 'The engine was closed.',
      }),
    );
    this.#ready.catch(() => {});
  }

  #track(connection: Connection): Connection {
    this.#conversations.add(connection);
    connection.on('close', () => this.#conversations.delete(connection));
    return connection;
  }

  #start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(helperPath(), ['launch', this.#socketPath], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
      this.#child = child;
      child.on('error', reject);
      child.stdin.on('error', () => {});
      child.stdout.on('data', (bytes: Buffer) => {
        const fact = JSON.parse(bytes.toString('utf8').split('\n')[0] ?? '{}') as Fact;
        // From here on it lives as long as we do, and must not be what keeps us alive.
        letGo(child);
        if (fact.fact === 'ready') resolve();
        else reject(toSyscallError('engine.open', fact));
      });
      child.on('exit', (code, signal) => {
        this.#ready = undefined; // Killed by somebody: the next call starts another.
        reject(
          new SyscallError({
            call: 'engine.open',
            stage: 'launch',
            syscall: 'exit',
            errno: signal ?? `status ${code}`,
          }),
        );
      });
    });
  }
}

/** A pipe of a child is a socket, which its type does not say. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) (pipe as Socket | null)?.unref();
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('error', error => {
      reject(errorCode(error) === undefined ? new Error(String(error)) : error);
    });
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}
