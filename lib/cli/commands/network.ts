import { atLeast, command, exactly, type Group } from '../command.js';
import { list, parsedList, text, toggle } from '../flags.js';
import { checkLabel, parseFilter, parsePair } from '../pairs.js';
import { inspectOf, pruneFlags } from './container.js';

export const createNetworkFlags = {
  driver: { ...text('Driver to manage the Network: bridge', 'd'), shown: '"bridge"' },
  gateway: text('IPv4 Gateway for the subnet'),
  internal: toggle('Restrict external access to the network'),
  'ip-range': text('Allocate container ip from a sub-range'),
  label: list('Set metadata on a network', undefined, checkLabel),
  opt: parsedList('map', 'Set driver specific options: com.docker.network.driver.mtu', parsePair, 'o'),
  subnet: text('Subnet in CIDR format that represents a network segment'),
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
  commands: { create, inspect: inspectOf('network'), ls, prune, rm },
  aliases: { list: 'ls', remove: 'rm' },
};
