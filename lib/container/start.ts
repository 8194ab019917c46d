import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { PortMapping } from '../network/ports.js';
import { publishedPort } from '../network/publish.js';
import { MonitoredProcess } from '../runtime/monitor.js';
import { containerPlan } from '../runtime/plan.js';
import type { AbortOptions } from '../types.js';
import { Scope } from '../util/scope.js';
import { findPeers } from './confinement.js';
import type { ContainerContext } from './context.js';
import { keepingOps } from './keep.js';
import type { Live } from './live.js';
import { logPath } from './log-config.js';
import { LogSinks } from './log-sink.js';
import { startNetwork } from './network.js';
import { tellNews } from './news.js';
import { readNetwork, writeNetwork, type NetworkState } from './network-state.js';
import type { ContainerRecord } from './record.js';
import { buildSpec } from './spec.js';
import { explainStart } from './start-error.js';

/** How a container is started. */
export interface StartOptions extends AbortOptions {
  readonly call: string;
  /** The output comes over the conversation, from the first byte. */
  readonly attach: boolean;
}

/** Starts containers: puts them on their networks, hands the plan to the helper, and makes known how it goes. */
export class Starter {
  readonly sinks = new LogSinks();
  readonly #context: ContainerContext;
  readonly #live: Live;

  constructor(context: ContainerContext, live: Live) {
    this.#context = context;
    this.#live = live;
  }

  /** Resolves when the plan is sent; `ready` when the command has been executed. */
  async send(
    record: ContainerRecord,
    options: StartOptions,
  ): Promise<{ monitored: MonitoredProcess; ready: Promise<void> }> {
    const { call, signal } = options;
    const { helper } = this.#context;
    this.sinks.check(record, call);
    const context = {
      ...{ call, ref: record.name, command: [...record.config.entrypoint, ...record.config.command] },
      containerOf: (monitor: number) => this.#live.containerOf(monitor),
    };
    const { runDir } = this.#live.paths(record.id);
    const directory = this.#live.directory(record);
    const exitFile = join(directory, 'exit.json');
    const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined;
    await using scope = new Scope();
    const network = await startNetwork(this.#context, this.#live, record, { call, signal });
    scope.defer(() => network.release());
    const peers = findPeers(this.#context, this.#live, record, call);
    const spec = await buildSpec(this.#context, record, {
      call,
      attach: options.attach || record.config.log.driver === 'stream',
      runDir,
      exitFile,
      directory,
      isNew,
      network,
      peers,
      logPath: logPath(this.#context, record),
    });
    const { cgroups } = spec;
    const keeping = keepingOps(this.#context, record, { cgroups, directory, call });
    if (!isNew) rmSync(exitFile, { force: true });
    if (record.lifetime === 'detached') this.#live.remember(record, { stopped: false });
    mkdirSync(join(runDir, '..'), { recursive: true, mode: 0o700 });
    const monitored = new MonitoredProcess(
      await helper.send(containerPlan(spec, keeping), { outlives: record.lifetime === 'process' }),
    );
    scope.keep();
    this.sinks.connect(record, monitored);
    const listening = collectPorts(monitored);
    let abandoned: Promise<void> | undefined;
    const ready = this.#announce(
      record,
      monitored,
      { endpoints: network.endpoints, ports: listening, leave: network.leave, env: network.env },
      { runDir, onLost: () => void (abandoned = this.#abandon(record, runDir)) },
    ).catch((error: unknown) => {
      throw explainStart(error, context);
    });
    ready.catch(() => {}); // Its reader may come later.
    void monitored.closed.then(async () => {
      if (abandoned !== undefined) await abandoned;
      // Where it was us who hung up, it may run on, and keeps its place.
      if (!monitored.connection.hungUp || !this.#live.isSeenUp(record.id)) network.release();
    });
    return { monitored, ready };
  }

  /** Listens at once: it may start, end and start again before anybody's promise is kept. */
  async #announce(
    record: ContainerRecord,
    monitored: MonitoredProcess,
    network: NetworkState,
    { runDir, onLost }: { readonly runDir: string; readonly onLost: () => void },
  ): Promise<void> {
    let failure: unknown;
    tellNews(this.#context, record, monitored, {
      onStart: started => {
        try {
          if (network.endpoints.length > 0 || network.ports.length > 0) writeNetwork(runDir, network);
        } catch (error) {
          failure = error;
        }
        this.#live.add(record, { monitored, started });
      },
      isUp: () => this.#live.isSeenUp(record.id),
      onLost,
    });
    await monitored.holding(monitored.started);
    if (failure !== undefined) throw failure;
  }

  /** Does for a monitor that was killed what it would have done at its end. */
  async #abandon({ id, name }: ContainerRecord, runDir: string): Promise<void> {
    try {
      await this.#context.networks.abandon(id, readNetwork(runDir).endpoints);
    } catch (error) {
      const message = `container ${name}: its monitor was killed, and what it had on networks could not be taken away: ${String(error)}`;
      this.#context.emit('warning', { time: new Date(), message });
    }
  }
}

/** The real ports, as the monitor tells them; filled in while it starts. */
function collectPorts(monitored: MonitoredProcess): Required<PortMapping>[] {
  const ports: Required<PortMapping>[] = [];
  monitored.connection.on('fact', fact => {
    if (fact.fact === 'listening') ports.push(publishedPort(fact));
  });
  return ports;
}
