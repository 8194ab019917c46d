import type { NetworkRecord } from './record.js';

/** What the rules of a network are made of. */
export type Rules = Pick<NetworkRecord, 'device' | 'subnet' | 'internal' | 'subnet6' | 'masquerade' | 'icc'>;

/** A table per network: adding and removing one is atomic, and needs to know nothing of the others. */
export function tableOf(device: string): string {
  return `tscontainer-${device}`;
}

/**
 * The rules of one network. Members reach what the host reaches, under the host's address; nobody outside reaches them but
 * by a published port. An internal network has no way out or in.
 *
 * However many ports are published, the rules stay the same: ports are elements of the four maps, asked by hash. The monitors
 * add and delete them.
 */
export function ruleset(network: Rules): string {
  const { device, subnet, subnet6, internal, masquerade = true } = network;
  const table = `inet ${tableOf(device)}`;
  const hidden =
    internal || !masquerade ? [] : [`ip saddr ${subnet}`, ...(subnet6 === undefined ? [] : [`ip6 saddr ${subnet6}`])];
  // `add` before `delete` makes the delete succeed whether or not it was there; all of it is one transaction.
  return `add table ${table}
delete table ${table}
table ${table} {
${internal ? '' : ports(device)}  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${hidden.map(saddr => `    ${saddr} oifname != "${device}" masquerade\n`).join('')}  }
  chain forward {
    type filter hook forward priority filter; policy accept;
${forward(network)
  .map(rule => `    ${rule}\n`)
  .join('')}  }
}
`;
}

function forward({ device, internal, icc }: Rules): string[] {
  const among = `iifname "${device}" oifname "${device}" ${icc === false ? 'drop' : 'accept'}`;
  if (internal) return [among, `iifname "${device}" drop`, `oifname "${device}" drop`];
  return [
    among,
    `oifname "${device}" ct state established,related accept`,
    `oifname "${device}" ct status dnat accept`,
    `oifname "${device}" drop`,
  ];
}

/** From the network itself ports are reached through the monitor's socket: else answers would not come back the same way. */
function ports(device: string): string {
  return `  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  map addresses4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map addresses6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  chain publish {
    dnat ip to ip daddr . meta l4proto . th dport map @addresses4
    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @addresses6
    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "${device}" fib daddr type local jump publish
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump publish
    ip6 daddr != ::1 fib daddr type local jump publish
  }
`;
}
