/** What a shell inside tells of how it is held: for `sh -c`. */
export const REPORT = [
  'echo "== status"; grep -E "^(Cap|Seccomp:|NoNewPrivs|Groups|Uid|Gid)" /proc/self/status',
  'echo "== score"; cat /proc/self/oom_score_adj',
  'echo "== limits"; cat /proc/self/limits',
  'echo "== id"; id',
  'echo "== env"; env | sort',
  'echo "== names"; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /etc/hostname',
  'echo "== devices"; for d in /dev/* /disk* /dev/more/*; do [ -e $d ] && stat -c "%n %F %a %u:%g %t:%T" $d; done | sort',
  'echo "== mounts"; cat /proc/self/mountinfo',
  'echo "== cgroups"; for f in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes ' +
    'memory/memory.soft_limit_in_bytes memory/memory.swappiness memory/memory.oom_control pids/pids.max cpu/cpu.shares ' +
    'cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems blkio/blkio.throttle.read_bps_device ' +
    'blkio/blkio.throttle.write_bps_device blkio/blkio.throttle.read_iops_device blkio/blkio.throttle.write_iops_device; ' +
    'do echo $f: $(cat /sys/fs/cgroup/$f); done',
  'echo "== rules"; sort /sys/fs/cgroup/devices/devices.list; true',
].join('; ');

/** The report by sections, as lines, without what differs from one start to the next. */
export function readReport(text: string): Record<string, readonly string[]> {
  const sections = text.split(/^== /m).slice(1);
  return Object.fromEntries(
    sections.map(section => {
      const [name = '', ...lines] = section.trimEnd().split('\n');
      return [name, name === 'mounts' ? lines.flatMap(mount).sort() : lines];
    }),
  );
}

/** Where something is mounted, what it is, and what may be done there. */
function mount(line: string): string[] {
  const [before = '', after = ''] = line.split(' - ');
  const [, , , root, target = '', options = ''] = before.split(' ');
  const [type = ''] = after.split(' ');
  // Ours is its own file system; docs/differences.md names what else there is under it.
  if (target.startsWith('/sys/fs/cgroup')) return [];
  const which = type === 'overlay' || target.startsWith('/etc/') ? '' : ` ${root}`;
  return [`${target} ${type === 'ext4' ? 'disk' : type} ${options}${which}`];
}
