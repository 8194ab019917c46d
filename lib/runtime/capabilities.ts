import { readFileSync } from 'node:fs';

/** All capabilities, by their numbers. The kernel adds to the end; see capabilities(7). */
export const capabilityNames: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
];

/** What a container has unless told otherwise: Docker's fourteen. */
export const defaultCapabilities: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** The user's changes to the default: names with or without `CAP_`, in any case, or `ALL`. */
export interface CapabilityChanges {
  readonly add?: readonly string[];
  readonly drop?: readonly string[];
  /** Everything that the kernel has. */
  readonly privileged?: boolean;
}

/** The five sets, as bit masks: what the helper loads before it executes the container's command. */
export interface CapabilitySets {
  /** The names in the bounding set, for the seccomp profile. */
  readonly names: ReadonlySet<string>;
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

/**
 * Works out what a container may have.
 *
 * `drop: ['ALL']` leaves just what is added; `add: ['ALL']` gives all but what is dropped; otherwise the default set is
 * changed, and a name that is both added and dropped is there. As Docker and runc: bounding, permitted and effective are
 * that set, inheritable and ambient are empty, so that a user other than root has none after exec.
 *
 * @param last - The newest that the kernel knows. Default: what `/proc/sys/kernel/cap_last_cap` says.
 * @param available - What there is to be had. Default: what this process may hand on.
 * @throws `TypeError` for a name that is none.
 */
export function capabilitySets(
  changes: CapabilityChanges = {},
  last = kernelLast(),
  call = 'containers.create',
  available: ReadonlySet<string> = ownCapabilities(),
): CapabilitySets {
  const asked = effectiveNames(changes, call).filter(name => capabilityNames.indexOf(name) <= last);
  // "All" is all there is: one that this process lacks is only an error when it was asked for by its name.
  const named = (changes.add ?? []).map(name => normalise(name, call));
  const names = new Set(asked.filter(name => available.has(name) || named.includes(name)));
  const mask = capabilityMask(names);
  return { names, bounding: mask, effective: mask, permitted: mask, inheritable: 0n, ambient: 0n };
}

let own: ReadonlySet<string> | undefined;

/** What this process may hand on. An ordinary user's containers have a user namespace, in which everything is theirs. */
function ownCapabilities(): ReadonlySet<string> {
  if (own === undefined) {
    const mask = /^CapBnd:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 'f'.repeat(16);
    own = new Set(capabilitiesIn(BigInt(`0x${mask}`)));
  }
  return own;
}

let lastKnown: number | undefined;

function kernelLast(): number {
  lastKnown ??= Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  return lastKnown;
}

function effectiveNames(changes: CapabilityChanges, call: string): readonly string[] {
  const add = (changes.add ?? []).map(name => normalise(name, call));
  const drop = (changes.drop ?? []).map(name => normalise(name, call));
  if (changes.privileged === true) return capabilityNames;
  if (add.includes('ALL')) return capabilityNames.filter(name => !drop.includes(name));
  if (drop.includes('ALL')) return add;
  return [...defaultCapabilities.filter(name => !drop.includes(name)), ...add];
}

function normalise(name: string, call: string): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL') return upper;
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (capabilityNames.includes(full)) return full;
  throw new TypeError(
    `${call}: there is no capability ${JSON.stringify(name)}; see capabilities(7) for their names, or use ALL`,
  );
}

/** Bit n is capability n. */
export function capabilityMask(names: Iterable<string>): bigint {
  let mask = 0n;
  for (const name of names) {
    const index = capabilityNames.indexOf(name);
    if (index >= 0) mask |= 1n << BigInt(index);
  }
  return mask;
}

/** The names in a mask, as `/proc/<pid>/status` shows masks. */
export function capabilitiesIn(mask: bigint): string[] {
  return capabilityNames.filter((_, index) => (mask >> BigInt(index)) & 1n);
}
