import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

import { NotFoundError, type ExitStatus, type ProcessResult } from '../errors.js';
import type { PortMapping } from '../network/ports.js';
import type { AbortOptions } from '../types.js';
import type { Image } from '../image/image.js';
import type { FileChange } from './changes.js';
import { collect } from './collect.js';
import type { CommitOptions } from './commit.js';
import type { Containers } from './containers.js';
import type { CopyInOptions, CopyOutOptions, CopyReport } from './copy.js';
import type { Exec } from './exec.js';
import { exportContainer } from './export.js';
import { ContainerFiles } from './fs.js';
import { inspectRecord, type ContainerInfo } from './inspect.js';
import type { LogRequest } from './log-reader.js';
import { LineReader } from './logs.js';
import type {
  AttachOptions,
  ExecOptions,
  LogChunk,
  LogLine,
  LogOptions,
  SpawnOptions,
  StopOptions,
  WaitCondition,
} from './options.js';
import type { Process } from './process.js';
import type { FetchOptions } from './reach.js';
import type { Condition } from './ready-condition.js';
import type { ContainerRecord } from './record.js';
import type { ContainerStats, StatsOptions, WatchStatsOptions } from './stats.js';
import type { ProcessTable, TopOptions } from './top.js';
import type { UpdateOptions } from './update.js';

/** A container. A handle: what changes is asked for with {@link Container.inspect}. */
export class Container {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** As it was named when this handle was made. */
  readonly name: string;
  readonly #home: Containers;

  private constructor(home: Containers, record: ContainerRecord) {
    this.#home = home;
    this.id = record.id;
    this.name = record.name;
  }

  /** @internal */
  static of(home: Containers, record: ContainerRecord): Container {
    return new Container(home, record);
  }

  /**
   * What is known of it now, as a frozen copy.
   *
   * @throws {@link NotFoundError} when it was removed.
   */
  async inspect(options: AbortOptions = {}): Promise<ContainerInfo> {
    options.signal?.throwIfAborted();
    const record = this.#record('container.inspect');
    return inspectRecord(
      record,
      this.#home.live.state(this.id),
      this.#home.endpoints(record),
      this.#home.ports(record),
      this.#home.health(record),
    );
  }

  /**
   * Starts it, again if it has ended. Resolves when its command has been executed; one that runs already is left alone.
   *
   * @throws {@link StartError} when the command cannot be executed.
   * @throws {@link ConflictError} when a port or address is taken.
   */
  async start(options: AbortOptions = {}): Promise<void> {
    const record = this.#record('container.start');
    await this.#home.start(record, { call: 'container.start', attach: false, ...options });
  }

  /**
   * Stops it: the stop signal, then SIGKILL after `graceMs`. One that has ended resolves with how it ended.
   *
   * @returns How it ended. A non-zero exit is a value here, not an exception.
   * @throws {@link InvalidStateError} when it was never started.
   * @throws `options.signal.reason` when aborted; the stop signal has been sent by then, SIGKILL will not be.
   * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md | image-spec v1.1.1, config.md, `StopSignal`}
   */
  async stop(options: StopOptions = {}): Promise<ExitStatus> {
    return (await this.#home.lifecycle()).stop(this.#record('container.stop'), options);
  }

  /** Stops it, if it runs, and starts it. */
  async restart(options: StopOptions = {}): Promise<void> {
    await (await this.#home.lifecycle()).restart(this.#record('container.restart'), options);
  }

  /**
   * Sends a signal to its first process, by name (`SIGTERM`, `term`, `RTMIN+3`) or number. One that stands still is thawed
   * for SIGKILL and for its stop signal; those also end its restarts. Where neither the image nor the user has named a stop
   * signal, any signal does: so Docker has it. @defaultValue `'SIGKILL'`, as Docker
   *
   * @throws {@link InvalidStateError} when it does not run.
   * @throws `TypeError` for a signal that there is none.
   */
  async kill(signal: NodeJS.Signals | number = 'SIGKILL', options: AbortOptions = {}): Promise<void> {
    await (await this.#home.lifecycle()).kill(this.#record('container.kill'), signal, options);
  }

  /**
   * Stops all its processes where they are, until {@link Container.unpause}. Resolves when they stand still.
   *
   * @throws {@link InvalidStateError} when it does not run, or is paused already; or where there is no freezer.
   */
  async pause(options: AbortOptions = {}): Promise<void> {
    await (await this.#home.lifecycle()).pause(this.#record('container.pause'), options);
  }

  /**
   * Lets its processes go on.
   *
   * @throws {@link InvalidStateError} when it is not paused.
   */
  async unpause(options: AbortOptions = {}): Promise<void> {
    await (await this.#home.lifecycle()).unpause(this.#record('container.unpause'), options);
  }

  /**
   * Resolves when its first process has ended, or what else is waited for has come. A failure is a value here.
   *
   * @param options.condition - Default `not-running`. That is also met when the process ends and is to be started again.
   * @throws {@link InvalidStateError} when it was never started, for `not-running`.
   */
  async wait(options: AbortOptions & { readonly condition?: WaitCondition } = {}): Promise<ExitStatus> {
    return (await this.#home.lifecycle()).wait(this.#record('container.wait'), options);
  }

  /**
   * Resolves when all conditions hold. A failure says what was waited for and shows the last lines of the log.
   *
   * @throws {@link InvalidStateError} as soon as the container ends first, with its last lines of output.
   */
  async waitFor(condition: Condition | readonly Condition[], options: AbortOptions = {}): Promise<void> {
    const { waitForAll } = await import('./ready.js');
    await waitForAll(this, typeof condition === 'function' ? [condition] : condition, options);
  }

  /**
   * Runs a command in it to its end and collects its output.
   *
   * @throws {@link StartError} when it cannot be executed, {@link ExitError} when it fails (unless `reject` is `false`).
   * @throws {@link InvalidStateError} when the container does not run.
   * @throws `options.signal.reason` when aborted; the process was killed by then.
   */
  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ProcessResult> {
    options.signal?.throwIfAborted();
    const record = this.#record('container.exec');
    const stdin = options.input !== undefined;
    const monitored = await this.#home.exec(record, command, { call: 'container.exec', ...options, stdin });
    try {
      return await collect(monitored, command, 'container.exec', options);
    } catch (error) {
      throw this.#home.explain(error, { call: 'container.exec', ref: record.name, command });
    }
  }

  /**
   * Starts a command in it and hands over its streams. Disposing kills it, unless it was left by `detach` before.
   *
   * @throws {@link StartError} when it cannot be executed, {@link InvalidStateError} when the container does not run.
   */
  async spawn(command: readonly string[], options: SpawnOptions = {}): Promise<Process> {
    options.signal?.throwIfAborted();
    const { spawnIn } = await import('./spawn.js');
    return spawnIn(this.#home, this.#record('container.spawn'), command, options);
  }

  /** What was started by {@link Container.spawn}, by whichever process, and runs or ended not long ago; oldest first. */
  async execs(options: AbortOptions = {}): Promise<Exec[]> {
    options.signal?.throwIfAborted();
    const { execsOf } = await import('./spawn.js');
    return execsOf(this.#home, this.#record('container.execs'));
  }

  /**
   * Finds a process that {@link Container.spawn} started by its id, or the first twelve digits or more of it.
   *
   * @throws {@link NotFoundError} when there is none.
   */
  async execOf(id: string, options: AbortOptions = {}): Promise<Exec> {
    options.signal?.throwIfAborted();
    const { findExec } = await import('./spawn.js');
    return findExec(this.#home, this.#record('container.execOf'), id, 'container.execOf');
  }

  /**
   * The streams of the main process, from now on, or with `logs` from its beginning. Any number may be attached, and each
   * gets all output; one that does not read holds the container back for `patienceMs` at most. Its standard input can be
   * written to by all of them, when the container was created with `stdin: true`. Disposing detaches, it does not kill.
   *
   * @throws {@link InvalidStateError} when it does not run.
   */
  async attach(options: AttachOptions = {}): Promise<Process> {
    options.signal?.throwIfAborted();
    const { attachTo } = await import('./attachment.js');
    return attachTo(this.#home, this.#record('container.attach'), options);
  }

  /**
   * The lines of its log, from the first one on. With `follow`, until it ends.
   *
   * @throws {@link InvalidStateError} when none is kept: log driver `none` or `stream`.
   */
  logs(options: LogOptions = {}): AsyncIterableIterator<LogLine, void, undefined> {
    return new LineReader(this.#logChunks({ ...options, call: 'container.logs', lines: true }));
  }

  /**
   * The same as it was written, many lines at a time: for whoever hands it on. Pieces follow each other in the order in
   * which they were read from the container.
   *
   * @param options.timestamps - The time before each line, with nine digits, as `docker logs -t`. Default `false`.
   * @throws {@link InvalidStateError} when none is kept: log driver `none` or `stream`.
   */
  rawLogs(options: LogOptions & { readonly timestamps?: boolean } = {}): AsyncGenerator<LogChunk, void, undefined> {
    return this.#logChunks({ ...options, call: 'container.rawLogs' });
  }

  /**
   * Removes it, and the volumes without a name that were made for it.
   *
   * @param options.volumes - `false` keeps those volumes. Default `true`.
   * @param options.force - Kills it first if it runs. Default `false`.
   * @throws {@link InvalidStateError} when it runs and `force` is not set.
   */
  async remove(options: AbortOptions & { readonly force?: boolean; readonly volumes?: boolean } = {}): Promise<void> {
    await this.#home.remove(this.#record('container.remove'), options);
  }

  /**
   * The host port that leads to `port`.
   *
   * @throws {@link NotFoundError} when that port is not published, or the container does not run.
   */
  port(port: number, protocol: 'tcp' | 'udp' = 'tcp'): number {
    const mapping = this.#home
      .ports(this.#record('container.port'))
      .find(each => each.container === port && each.protocol === protocol);
    if (mapping === undefined) {
      throw new NotFoundError({
        call: 'container.port',
        kind: 'port',
        ref: `${this.name}:${port}/${protocol}`,
        remedy: 'Name it in `ports` when creating, and start the container',
      });
    }
    return mapping.host;
  }

  /**
   * The same in the words of Docker: what `GET /containers/{id}/json` answers, and `docker inspect` prints.
   *
   * @param options.size - Counts what it has written as well. Default `false`.
   * @throws {@link NotFoundError} when it was removed.
   */
  async inspectDocker(
    options: AbortOptions & { readonly size?: boolean } = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    options.signal?.throwIfAborted();
    return this.#home.inspectDocker(this.#record('container.inspectDocker'), options);
  }

  /**
   * What it uses now: processor, memory, network, disks, processes. One that does not run uses nothing.
   *
   * @param options.intervalMs - Measures `cpu.percent` over so long. Default 0: since it was started, at once.
   */
  async stats(options: StatsOptions = {}): Promise<ContainerStats> {
    return (await this.#home.observer()).stats(this.id, options);
  }

  /**
   * What it uses, over and over for as long as it runs; the first sample comes at once.
   *
   * @param options.intervalMs - Between two samples. Default 1,000, as Docker.
   */
  async *watchStats(options: WatchStatsOptions = {}): AsyncGenerator<ContainerStats, void, undefined> {
    yield* (await this.#home.observer()).watchStats(this.id, options);
  }

  /**
   * Its processes, as the host's `ps` lists them.
   *
   * @param options.psOptions - What `ps` is told. Default `['-ef']`, as Docker.
   * @throws {@link InvalidStateError} when it does not run.
   */
  async top(options: TopOptions = {}): Promise<ProcessTable> {
    return (await this.#home.observer()).top(this.id, options);
  }

  /**
   * Changes limits and the restart policy, at once if it runs, and for its next start.
   *
   * @throws {@link ConflictError} for what does not go with what it has: memory beyond its limit of memory and swap
   * together, `cpus` where a quota was given, a restart policy where `autoRemove` is set.
   * @throws {@link LimitError} and {@link UnsupportedError} as when creating, {@link SyscallError} when the kernel
   * refuses: nothing is changed then.
   */
  async update(options: UpdateOptions): Promise<void> {
    await (await this.#home.observer()).update(this.id, options);
  }

  /**
   * Copies files into it, whether it runs or not, by the rules of `docker cp`: into a directory that is there goes the
   * source under its own name (what is in it, with a path that ends in `/.`); else it becomes `target`.
   *
   * @param source - A path of this machine, or a tar archive, compressed or not, that is unpacked into the directory `target`.
   * @throws {@link NotFoundError} when the source or the directory of the target is not there, {@link ConflictError} when a
   * directory would replace what is none or be replaced by it, {@link SyscallError} with `EROFS` where it is read-only.
   */
  async copyIn(
    source: string | Uint8Array | Readable,
    target: string,
    options: CopyInOptions = {},
  ): Promise<CopyReport> {
    const { copyIn } = await import('./copy.js');
    return copyIn(this.#home.filesOf(this.id, 'copy', 'container.copyIn'), source, target, options);
  }

  /** {@link Container.copyIn} the other way round: to a path of this machine, or as a tar archive to a stream, not ended. */
  async copyOut(source: string, target: string | Writable, options: CopyOutOptions = {}): Promise<CopyReport> {
    const { copyOut } = await import('./copy.js');
    return copyOut(this.#home.filesOf(this.id, 'copy', 'container.copyOut'), source, target, options);
  }

  /** Its files, one by one, whether it runs or not. */
  get fs(): ContainerFiles {
    return new ContainerFiles(call => this.#home.filesOf(this.id, 'copy', call));
  }

  /** What has become of its files since it was created, by path; as `docker diff`. What is mounted is not looked into. */
  async changes(options: AbortOptions = {}): Promise<readonly FileChange[]> {
    const { changesOf } = await import('./changes.js');
    return changesOf(this.#home.filesOf(this.id, 'changes', 'container.changes'), options);
  }

  /** All its files as a tar archive, without what is mounted. What fails destroys the stream with the error. */
  export(options: AbortOptions = {}): Readable {
    return exportContainer(() => this.#home.filesOf(this.id, 'export', 'container.export'), options);
  }

  /**
   * Makes an image of it: its image's layers, and one with what has become of its files since; not what is mounted.
   *
   * @throws {@link ParseError} when `ref` or one of `changes` is malformed; then nothing was made.
   */
  async commit(options: CommitOptions = {}): Promise<Image> {
    const { commitContainer } = await import('./commit.js');
    return commitContainer(this.#home.filesOf(this.id, 'commit', 'container.commit'), options);
  }

  /**
   * Gives it another name, in any state. This handle's `name` stays what it was.
   *
   * @throws {@link ConflictError} when another container has that name.
   */
  async rename(name: string, options: AbortOptions = {}): Promise<void> {
    await (await this.#home.observer()).rename(this.id, name, options);
  }

  /**
   * Publishes a port of it while it runs, until it ends: a number, Docker's notation, or a mapping.
   *
   * @returns What leads to it now, one for each address of the host.
   * @throws {@link ConflictError} when the host's port is taken, naming by whom; {@link InvalidStateError} when it does not run.
   */
  async publish(port: number | string | PortMapping, options: AbortOptions = {}): Promise<Required<PortMapping>[]> {
    options.signal?.throwIfAborted();
    const call = 'container.publish';
    return (await this.#home.network()).publish(this.#record(call), port, { call });
  }

  /**
   * Publishes a port no more. Connections that there are go on. @throws {@link NotFoundError} when it is not published.
   */
  async unpublish(port: number, protocol: 'tcp' | 'udp' = 'tcp', options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const call = 'container.unpublish';
    await (await this.#home.network()).unpublish(this.#record(call), port, protocol, { call });
  }

  /**
   * Connects to a port inside, as if from inside: published or not, on whatever network, `none` included, and also where
   * the server listens on loopback only.
   *
   * @throws {@link SyscallError} with `ECONNREFUSED` when nothing listens there; {@link InvalidStateError} when it does not run.
   */
  async dial(port: number, options: AbortOptions = {}): Promise<Socket> {
    const call = 'container.dial';
    const { dialInto } = await import('./reach.js');
    return dialInto(this.#home.live, this.#record(call), port, call, options);
  }

  /** One HTTP request to a port inside, over {@link Container.dial}. Redirects are not followed. */
  async fetch(path: string, options: FetchOptions = {}): Promise<Response> {
    const { fetchFrom } = await import('./reach.js');
    return fetchFrom(this.#home.live, this.#record('container.fetch'), path, options);
  }

  async *#logChunks(request: LogRequest): AsyncGenerator<LogChunk, void, undefined> {
    const { readChunks } = await import('./log-reader.js');
    yield* readChunks(async () => this.#home.log(this.#record(request.call), request.call), request);
  }

  #record(call: string): ContainerRecord {
    return this.#home.record(this.id, call);
  }
}
