import type { Attachment, CreateContainerOptions } from '../container/options.js';
import { parsePorts } from '../network/ports.js';
import type { createFlags } from './commands/run-flags.js';
import type { Values } from './flags.js';
import { toPair } from './pairs.js';
import { UsageError } from './usage-error.js';

type CreateFlags = Values<typeof createFlags>;
type Wishes = {
  readonly [
    K in 'ports' | 'expose' | 'publishAll' | 'networks' | 'links' | 'extraHosts' | 'dns' | 'dnsSearch' | 'dnsOptions'
  ]?: CreateContainerOptions[K] | undefined;
};
type Loose = { -readonly [K in keyof Attachment]?: Attachment[K] | undefined };

/** What the flags of `run` and `create` ask of the network. */
export function networkOptions(flags: CreateFlags): Wishes {
  // Read here, so that a mistake is one of usage.
  for (const text of [...flags.publish]) parsePorts(text, 'publish');
  for (const text of flags.expose) parsePorts(text, 'expose');
  const userNetwork = flags.network.length > 0 && !['bridge', 'default'].includes(flags.network[0] ?? '');
  return {
    ports: flags.publish,
    expose: unlessEmpty(flags.expose),
    publishAll: flags['publish-all'] || undefined,
    networks: networks(flags, userNetwork),
    links: userNetwork ? undefined : unlessEmpty(flags.link),
    extraHosts: hosts(flags['add-host']),
    dns: flags.dns,
    dnsSearch: unlessEmpty(flags['dns-search']),
    dnsOptions: unlessEmpty([...flags['dns-option'], ...flags['dns-opt']]),
  };
}

/** The same name may be given several addresses. */
function hosts(pairs: CreateFlags['add-host']): Record<string, string | string[]> {
  const found = new Map<string, string[]>();
  for (const [name, address] of pairs) found.set(name, [...(found.get(name) ?? []), address]);
  return Object.fromEntries([...found].map(([name, all]) => [name, all.length === 1 ? (all[0] ?? '') : all]));
}

/** What belongs to the first network can be said by flags of its own. */
function networks(flags: CreateFlags, userNetwork: boolean): (string | Attachment)[] | undefined {
  const wanted = flags.network.map(parseNetwork);
  const [first = { network: 'bridge' }, ...rest] = wanted;
  const { ip, ip6, 'mac-address': mac, 'network-alias': more } = flags;
  const links = userNetwork ? flags.link : [];
  if (wanted.length === 0 && (ip ?? ip6 ?? mac) === undefined && more.length === 0) return undefined;
  const twice = (name: string): UsageError =>
    new UsageError(
      `conflicting options: cannot specify both --${name} and per-network ${name.replace('-address', '')}`,
    );
  if (ip !== undefined && first.ip !== undefined) throw twice('ip');
  if (ip6 !== undefined && first.ip6 !== undefined) throw twice('ip6');
  if (mac !== undefined && first.mac !== undefined) throw twice('mac-address');
  return [
    attachment({ ...first, ip: ip ?? first.ip, ip6: ip6 ?? first.ip6, mac: mac ?? first.mac }, more, links),
    ...rest,
  ];
}

/** `web`, or `name=web,alias=db,ip=10.0.0.5,ip6=…,mac-address=…,gw-priority=…`. */
function parseNetwork(text: string): Attachment {
  if (!text.includes('=')) return { network: text === 'default' ? 'bridge' : text };
  const found: Loose = {};
  const aliases: string[] = [];
  for (const [key, value] of text.split(',').map(toPair)) {
    if (key === 'name') found.network = value;
    else if (key === 'alias') aliases.push(value);
    else if (key === 'ip') found.ip = value;
    else if (key === 'ip6') found.ip6 = value;
    else if (key === 'mac-address') found.mac = value;
    else if (key === 'gw-priority') found.gatewayPriority = priority(value);
    else throw new UsageError(`invalid field key ${key} in --network ${text}`);
  }
  if (found.network === undefined) throw new UsageError('no name set for network');
  return attachment({ ...found, network: found.network }, aliases, []);
}

function attachment(
  fields: Loose & { readonly network: string },
  aliases: readonly string[],
  links: readonly string[],
): Attachment {
  const all = [...(fields.aliases ?? []), ...aliases];
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return {
    ...(Object.fromEntries(given) as object),
    network: fields.network,
    ...(all.length === 0 ? {} : { aliases: all }),
    ...(links.length === 0 ? {} : { links }),
  };
}

function priority(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new UsageError(`invalid gw-priority (${text}): invalid syntax`);
  return Number(text);
}

function unlessEmpty(words: readonly string[]): readonly string[] | undefined {
  return words.length === 0 ? undefined : words;
}
