import type { CreateNetworkOptions } from '../network/networks.js';
import type { createNetworkFlags } from './commands/network.js';
import { BadValue, type Values } from './flags.js';
import type { Pair } from './pairs.js';
import { UsageError } from './usage-error.js';

type Flags = Values<typeof createNetworkFlags>;
type Settings = Pick<
  CreateNetworkOptions,
  'mtu' | 'icc' | 'masquerade' | 'hostBinding' | 'device' | 'interfacePrefix' | 'options'
>;
type Loose = { -readonly [K in keyof Settings]?: Settings[K] };

const readers: Readonly<Record<string, (value: string) => Loose>> = {
  'com.docker.network.driver.mtu': value => ({ mtu: Number(value) }),
  'com.docker.network.bridge.name': value => ({ device: value }),
  'com.docker.network.bridge.enable_icc': value => ({ icc: truth(value) }),
  'com.docker.network.bridge.enable_ip_masquerade': value => ({ masquerade: truth(value) }),
  'com.docker.network.bridge.host_binding_ipv4': value => ({ hostBinding: value }),
  'com.docker.network.container_iface_prefix': value => ({ interfacePrefix: value }),
};

/** What `--opt` asks for. One that nothing would be done about is refused. */
export function networkSettings(pairs: readonly Pair[]): Settings {
  const found: Loose = {};
  for (const [key, value] of pairs) {
    const read = readers[key];
    if (read === undefined)
      throw new UsageError(
        `network option ${JSON.stringify(key)} is not supported: it is one of ${Object.keys(readers).join(', ')}`,
        1,
      );
    Object.assign(found, read(value));
  }
  return pairs.length === 0 ? found : { ...found, options: Object.fromEntries(pairs) };
}

/** Subnets, gateways and ranges of both families, in whichever order they are given. */
export function byFamily(flags: Flags): Partial<CreateNetworkOptions> {
  const { subnet, gateway, 'ip-range': range, 'aux-address': aux } = flags;
  return {
    ...pick('subnet', subnet),
    ...pick('gateway', gateway),
    ...pick('range', range),
    ...(aux.length === 0 ? {} : { reserved: Object.fromEntries(aux) }),
  };
}

function pick(key: 'subnet' | 'gateway' | 'range', values: readonly string[]): Partial<CreateNetworkOptions> {
  const of = (six: boolean): string | undefined => {
    const [one, ...more] = values.filter(value => value.includes(':') === six);
    if (more.length > 0) throw new UsageError(`bridge driver doesn't support multiple ${key}s of one family`, 1);
    return one;
  };
  const [four, six] = [of(false), of(true)];
  return { ...(four === undefined ? {} : { [key]: four }), ...(six === undefined ? {} : { [`${key}6`]: six }) };
}

function truth(value: string): boolean {
  if (!['true', 'false', '1', '0'].includes(value)) throw new BadValue(`expected true or false, got ${value}`);
  return value === 'true' || value === '1';
}
