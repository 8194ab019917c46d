import { mkdirSync } from 'node:fs';
import { release } from 'node:os';
import * as zlib from 'node:zlib';

import { findProgram } from '../archive/program.js';
import type { AbortOptions, Feature, Features } from '../types.js';
import { appArmorMissing } from './apparmor.js';
import { describeCgroups } from './cgroups.js';
import type { CgroupHost, Controller } from './cgroups.js';
import { describeIds } from './idmap.js';
import { runJob } from './job.js';
import type { Fact } from './job.js';
import { Plan } from './plan.js';

export interface ProbeOptions extends AbortOptions {
  /** A directory on the store's file system; it is made when it is not there. */
  readonly directory: string;
}

/** What a probe of the helper said. */
type Probe =
  | { readonly ok: true }
  | { readonly ok: false; readonly errno: string; readonly stage: string; readonly detail: string };

/** Finds out what this host can do by trying it, in namespaces that are gone afterwards. Takes tens of milliseconds. */
export async function probeFeatures(options: ProbeOptions): Promise<Features> {
  if (process.platform !== 'linux') return elsewhere();
  const nft = findProgram('nft');
  mkdirSync(options.directory, { recursive: true });
  const plan = new Plan()
    .op('namespaces')
    .op('userNamespaces')
    .op('overlay', options.directory)
    .op('reflink', options.directory)
    .op('seccomp')
    .op('bridge');
  if (nft !== undefined) plan.op('masquerade', nft);
  const facts = await runJob('probe', plan, { signal: options.signal, call: 'engine.features' });
  const probes = new Map(
    facts.flatMap(fact => (fact.fact === 'probe' ? [[String(fact['name']), toProbe(fact)] as const] : [])),
  );
  const answer = (name: string, remedy: (errno: string) => string, detail?: string): Feature =>
    toFeature(probes.get(name), remedy, detail);
  const cgroups = describeCgroups();
  return {
    linux: available(release()),
    namespaces: answer('namespaces', namespaceRemedy),
    userNamespaces: userNamespaces(answer('userNamespaces', userNamespaceRemedy)),
    overlay: answer('overlay', overlayRemedy),
    reflink: answer(
      'reflink',
      () => 'put the store on xfs (mkfs.xfs -m reflink=1), btrfs or bcachefs; plain copies are used until then',
    ),
    cgroups: anyController(cgroups),
    memoryLimit: controller(
      cgroups,
      'memory',
      cgroups.swap ? 'memory and swap' : 'memory; swap is not counted (boot with swapaccount=1)',
    ),
    cpuLimit: controller(cgroups, 'cpu'),
    pidsLimit: controller(cgroups, 'pids'),
    blockIo: controller(cgroups, 'blkio'),
    hugePages: controller(cgroups, 'hugetlb'),
    freezer: controller(cgroups, 'freezer'),
    devices: controller(cgroups, 'devices'),
    bridge: answer('bridge', bridgeRemedy),
    masquerade:
      nft === undefined
        ? lacking('there is no nft program', 'install it (Debian: apt-get install nftables)')
        : answer('masquerade', masqueradeRemedy, nft),
    seccomp: answer('seccomp', () => 'use a kernel with CONFIG_SECCOMP_FILTER=y'),
    appArmor: appArmor(),
    zstd: zstd(),
  };
}

/** The features as a table for people: one row each, and below it why not and what would change that. */
export function formatFeatures(features: Features): string {
  const rows = Object.entries(features) as [string, Feature][];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows
    .map(([name, feature]) => {
      const label = name.padEnd(width);
      if (feature.available) return `${label}  yes${feature.detail === undefined ? '' : `  ${feature.detail}`}\n`;
      const indent = ' '.repeat(width + 2);
      return `${label}  no   ${feature.reason}\n${indent}     to get it: ${feature.remedy}\n`;
    })
    .join('');
}

function available(detail?: string): Feature {
  return detail === undefined || detail === '' ? { available: true } : { available: true, detail };
}

function lacking(reason: string, remedy: string): Feature {
  return { available: false, reason, remedy };
}

function toProbe(fact: Fact): Probe {
  if (fact['ok'] === '1') return { ok: true };
  return {
    ok: false,
    errno: String(fact['errno']),
    stage: String(fact['stage']),
    detail: String(fact['detail'] ?? ''),
  };
}

function toFeature(probe: Probe | undefined, remedy: (errno: string) => string, detail?: string): Feature {
  if (probe === undefined) return lacking('the helper did not answer', 'build it again: npm run build:native');
  if (probe.ok) return available(detail);
  const what = probe.detail === '' ? '' : ` (${probe.detail})`;
  return lacking(`${probe.stage} failed with ${probe.errno}${what}`, remedy(probe.errno));
}

function namespaceRemedy(errno: string): string {
  if (errno === 'ENOSPC') return 'raise the limits in /proc/sys/user/max_*_namespaces';
  if (errno === 'EINVAL') return 'use a kernel with CONFIG_NAMESPACES, _UTS_NS, _IPC_NS, _PID_NS and _NET_NS';
  return process.geteuid?.() === 0
    ? 'give this process CAP_SYS_ADMIN, and a seccomp profile that allows unshare (in Docker: --privileged, or --cap-add SYS_ADMIN --security-opt seccomp=unconfined)'
    : userNamespaceRemedy(errno);
}

function userNamespaceRemedy(errno: string): string {
  if (errno === 'ENOSPC') return 'sysctl user.max_user_namespaces=15000';
  if (errno === 'EINVAL') return 'use a kernel with CONFIG_USER_NS=y';
  return 'as root: sysctl kernel.unprivileged_userns_clone=1 (Debian), sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or run as root';
}

function userNamespaces(feature: Feature): Feature {
  if (!feature.available) return feature;
  const ids = describeIds();
  if (ids.kind === 'single') return available(`one id only: ${ids.reason}. To get more: ${ids.remedy}`);
  return ids.kind === 'root' ? feature : available('with subordinate ids');
}

function overlayRemedy(errno: string): string {
  if (errno === 'ENODEV') return 'modprobe overlay';
  if (errno === 'EPERM' || errno === 'EACCES')
    return 'run as root, or on Linux 5.11 or later; plain copies are used until then';
  return 'put the store on a file system with d_type and extended attributes (ext4, xfs with ftype=1, btrfs), not on another overlay; plain copies are used until then';
}

function bridgeRemedy(errno: string): string {
  return errno === 'EOPNOTSUPP' || errno === 'ENODEV' ? 'modprobe bridge veth' : 'run as root, or with CAP_NET_ADMIN';
}

function masqueradeRemedy(errno: string): string {
  return errno === 'EPERM' ? 'run as root, or with CAP_NET_ADMIN' : 'modprobe nf_tables nft_masq nft_chain_nat';
}

function anyController(host: CgroupHost): Feature {
  if (host.controllers.size > 0) return available(`${host.mode}: ${[...host.controllers.keys()].join(', ')}`);
  const [missing] = host.missing.values();
  return lacking(
    missing?.reason ?? 'there are no controllers',
    missing?.remedy ?? 'mount -t cgroup2 cgroup2 /sys/fs/cgroup',
  );
}

function controller(host: CgroupHost, name: Controller, detail?: string): Feature {
  const missing = host.missing.get(name);
  return missing === undefined ? available(detail) : lacking(missing.reason, missing.remedy);
}

function appArmor(): Feature {
  const missing = appArmorMissing();
  return missing === undefined ? available() : lacking(missing.reason, missing.remedy);
}

function zstd(): Feature {
  if ('createZstdDecompress' in zlib) return available("Node's own, fast");
  const program = findProgram('zstd');
  if (program !== undefined) return available(`${program}, fast`);
  return available('in JavaScript, about 110 MB/s. To be faster: apt-get install zstd, or Node 22.15');
}

/** Only types and pure functions work there. */
function elsewhere(): Features {
  const no = lacking(
    `containers need Linux, this is ${process.platform}`,
    'run it on Linux, or in a virtual machine with Linux',
  );
  return {
    linux: no,
    namespaces: no,
    userNamespaces: no,
    overlay: no,
    reflink: no,
    cgroups: no,
    memoryLimit: no,
    cpuLimit: no,
    pidsLimit: no,
    blockIo: no,
    hugePages: no,
    freezer: no,
    devices: no,
    bridge: no,
    masquerade: no,
    seccomp: no,
    appArmor: no,
    zstd: no,
  };
}
