import { atLeast, command, exactly, type Group } from '../command.js';
import { integer, list, parsedList, text, toggle } from '../flags.js';
import { checkLabel, parseFilter, parsePair } from '../pairs.js';
import { inspectOf, pruneFlags } from './container.js';

export const createNetworkFlags = {
  attachable: toggle('Enable manual container attachment'),
  'aux-address': parsedList('map', 'Auxiliary IPv4 or IPv6 addresses used by Network driver', parsePair),
  driver: { ...text('Driver to manage the Network: bridge', 'd'), shown: '"bridge"' },
  gateway: list('IPv4 or IPv6 Gateway for the master subnet'),
  internal: toggle('Restrict external access to the network'),
  'ip-range': list('Allocate container ip from a sub-range'),
  ipv6: toggle('Enable IPv6 networking'),
  label: list('Set metadata on a network', undefined, checkLabel),
  opt: parsedList('map', 'Set driver specific options', parsePair, 'o'),
  subnet: list('Subnet in CIDR format that represents a network segment'),
};

const create = command({
  synopsis: '[OPTIONS] NETWORK',
  summary: 'Create a network',
  flags: createNetworkFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/networks.js')).createNetwork(call),
});

/** Of whatever is listed by name. */
export const listFlags = {
  filter: parsedList('filter', 'Provide filter values (e.g. "label=fleet=web")', parseFilter, 'f'),
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  'no-trunc': toggle('Do not truncate the output'),
  quiet: toggle('Only display names or IDs', 'q'),
};

const ls = command({
  synopsis: '[OPTIONS]',
  summary: 'List networks',
  flags: listFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/networks.js')).listNetworks(call),
});

export const removeNamedFlags = { force: toggle('Do not error if it does not exist', 'f') };

const rm = command({
  synopsis: '[OPTIONS] NETWORK [NETWORK...]',
  summary: 'Remove one or more networks',
  flags: removeNamedFlags,
  arity: atLeast(1),
  run: async call => (await import('../verbs/networks.js')).removeNetworks(call),
});

export const connectFlags = {
  alias: list('Add network-scoped alias for the container'),
  'gw-priority': integer('Highest gw-priority provides the default gateway'),
  ip: text('IPv4 address (e.g., "172.30.100.104")'),
  ip6: text('IPv6 address (e.g., "2001:db8::33")'),
  link: list('Add link to another container'),
};

const connect = command({
  synopsis: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Connect a container to a network',
  flags: connectFlags,
  arity: exactly(2),
  run: async call => (await import('../verbs/networks.js')).connectNetwork(call),
});

export const disconnectFlags = { force: toggle('Force the container to disconnect from a network', 'f') };

const disconnect = command({
  synopsis: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Disconnect a container from a network',
  flags: disconnectFlags,
  arity: exactly(2),
  run: async call => (await import('../verbs/networks.js')).disconnectNetwork(call),
});

const prune = command({
  synopsis: '[OPTIONS]',
  summary: 'Remove all unused networks',
  flags: pruneFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/prune.js')).pruneNetworks(call),
});

export const network: Group = {
  kind: 'group',
  summary: 'Manage networks',
  commands: { connect, create, disconnect, inspect: inspectOf('network'), ls, prune, rm },
  aliases: { list: 'ls', remove: 'rm' },
};
