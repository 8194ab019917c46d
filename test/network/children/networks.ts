// An engine's networks in a process of their own, which a test asks by lines of JSON: {id, method, args} in, {id, value}
// or {id, error} out. It runs in a network namespace where it can do no harm.
import { createInterface } from 'node:readline';

import type { Attachment } from '../../../lib/network/attach.js';
import type { JoinRequest } from '../../../lib/network/members.js';
import type { Network } from '../../../lib/network/network.js';
import { type CreateNetworkOptions, Networks } from '../../../lib/network/networks.js';
import { Store } from '../../../lib/store/store.js';
import type { Filter } from '../../../lib/types.js';

const [root = '', runRoot = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot });
const events: unknown[] = [];
const running = new Set<string>();
const attachments = new Map<string, Attachment>();
const owned = new Map<string, Network & AsyncDisposable>();
const networks = new Networks({
  store,
  emit: (type, event) => events.push({ type, ...event }),
  isRunning: container => running.has(container),
});

const methods = {
  create: async (options: CreateNetworkOptions) => {
    const network = await networks.create(options);
    owned.set(network.id, network);
    return network.inspect();
  },
  dispose: async (id: string) => owned.get(id)?.[Symbol.asyncDispose](),
  get: async (ref: string) => (await networks.get(ref)).inspect(),
  list: async (filter: Filter) => (await networks.list(filter)).map(network => network.name),
  remove: async (ref: string) => (await networks.get(ref)).remove(),
  prune: async (filter: Filter) => networks.prune(filter),
  attach: async (container: string, requests: readonly JoinRequest[]) => {
    const attachment = await networks.attach({ container, name: container }, requests, { call: 'container.start' });
    attachments.set(container, attachment);
    return { endpoints: attachment.endpoints, hostOps: attachment.hostOps, insideOps: attachment.insideOps };
  },
  attachMany: async (prefix: string, count: number, network: string) => {
    const joined = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        networks.attach({ container: `${prefix}${i}`, name: `${prefix}${i}` }, [{ network }], {
          call: 'container.start',
        }),
      ),
    );
    return joined.map(({ endpoints }) => endpoints[0]?.ip);
  },
  release: async (container: string) => attachments.get(container)?.release(),
  running: async (container: string) => void running.add(container),
  sweep: async () => networks.sweep(),
  close: async () => networks.close(),
  events: async () => events.splice(0),
} as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, args } = JSON.parse(line) as { id: number; method: string; args: unknown[] };
  methods[method]?.(...args).then(
    value => answer({ id, value }),
    (error: Error & { code?: string; usedBy?: unknown }) =>
      answer({ id, error: { name: error.name, message: error.message, code: error.code, usedBy: error.usedBy } }),
  );
}
await store.close();

function answer(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
