import { readFileSync } from 'node:fs';

/** One line of `/proc/<pid>/mountinfo`. */
export interface MountInfo {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** Which directory of that file system is seen here. */
  readonly root: string;
  /** Where it is seen. */
  readonly target: string;
  /** Options of this mount: `ro`, `nosuid` … */
  readonly options: readonly string[];
  /** Where mounts go on to and come from: `shared:3`, `master:5`. */
  readonly optional: readonly string[];
  /** For example `cgroup2`. */
  readonly type: string;
  readonly source: string;
  /** Options of the file system; for v1 cgroups its controllers are among them. */
  readonly superOptions: readonly string[];
}

/** The mounts that a process sees, in the kernel's order: what comes later covers what came before. */
export function readMountInfo(pid: number | 'self' = 'self'): MountInfo[] {
  return parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/**
 * Lines that are none are left out: the kernel wrote them, and a new field must not break an old program.
 *
 * @see {@link https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html | proc_pid_mountinfo(5)}
 */
export function parseMountInfo(text: string): MountInfo[] {
  return text.split('\n').flatMap(line => {
    const [before, after] = line.split(' - ', 2);
    const [id, parent, device, root, target, options, ...optional] = before?.split(' ') ?? [];
    const [type, source, superOptions] = after?.split(' ') ?? [];
    if (options === undefined || root === undefined || target === undefined || device === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return {
      id: Number(id),
      parent: Number(parent),
      device,
      root: unescape(root),
      target: unescape(target),
      options: options.split(','),
      optional,
      type: unescape(type),
      source: unescape(source),
      superOptions: (superOptions ?? '').split(','),
    };
  });
}

/** The mount on which a path lies: the one with the longest matching target, the last of those. */
export function mountOf(path: string, mounts: readonly MountInfo[] = readMountInfo()): MountInfo | undefined {
  let best: MountInfo | undefined;
  for (const mount of mounts) {
    const inside = path === mount.target || mount.target === '/' || path.startsWith(`${mount.target}/`);
    if (inside && mount.target.length >= (best?.target.length ?? 0)) best = mount;
  }
  return best;
}

/** Space, tab, newline and backslash are written in octal, as bytes of UTF-8. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
