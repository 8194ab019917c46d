import type { AbortOptions, Labels } from '../types.js';

/** What a volume is to be. */
export interface CreateVolumeOptions extends AbortOptions {
  /** Letters, digits, `_`, `.` and `-`, at least two. 64 random digits when left out. */
  readonly name?: string;
  /** To find it by. */
  readonly labels?: Labels;
  /**
   * `'process'`: it goes with this process, also when that is killed. `'detached'`: it stays until it is removed.
   * Default: `'detached'` with a name, `'process'` without.
   */
  readonly lifetime?: 'process' | 'detached';
  /**
   * What to mount in place of a directory of the store, as Docker's `local` driver has it: `type`, `device` and `o` of
   * mount(8). `{type: 'none', device: '/srv', o: 'bind'}` is a directory of the host, `{type: 'tmpfs', device: 'tmpfs',
   * o: 'size=64m'}` is in memory, and then each container has its own.
   */
  readonly driverOptions?: Readonly<Record<string, string>>;
}
