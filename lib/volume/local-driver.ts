import { InvalidStateError, ParseError } from '../errors.js';

/** What a volume with options of the `local` driver is: not a directory of the store, but this, mounted. */
export type LocalSource =
  | { readonly kind: 'bind'; readonly source: string; readonly readOnly: boolean }
  | {
      readonly kind: 'filesystem';
      readonly type: string;
      readonly device: string;
      /** `MOUNT_ATTR_…` of mount_setattr(2). */
      readonly attributes: number;
      /** What the file system itself is told. */
      readonly options: string;
    };

const known = ['type', 'device', 'o', 'size'];

/** The words of mount(8) that are the mount's and not the file system's, with their bits; `0` takes nothing away. */
const flags = new Map<string, number>([
  ['ro', 0x1],
  ['rw', 0],
  ['nosuid', 0x2],
  ['suid', 0],
  ['nodev', 0x4],
  ['dev', 0],
  ['noexec', 0x8],
  ['exec', 0],
  ['noatime', 0x10],
  ['strictatime', 0x20],
  ['relatime', 0],
  ['nodiratime', 0x80],
  ['defaults', 0],
]);

/**
 * Reads the options that Docker's `local` driver knows, `type`, `device` and `o`, which are those of mount(8).
 *
 * @returns `undefined` for a volume that is a directory of the store.
 * @throws {@link ParseError} for options that it does not know, or that miss another.
 * @throws {@link InvalidStateError} for `size`, which takes project quotas.
 */
export function readLocalOptions(
  call: string,
  volume: string,
  options: Readonly<Record<string, string>>,
): LocalSource | undefined {
  const names = Object.keys(options);
  const unknown = names.find(name => !known.includes(name));
  const refuse = (reason: string): ParseError => new ParseError({ call, source: `volume ${volume}`, reason });
  if (unknown !== undefined)
    throw refuse(`has no option ${JSON.stringify(unknown)}. The local driver knows ${known.join(', ')}`);
  if (options['size'] !== undefined) {
    throw new InvalidStateError({
      call,
      kind: 'volume',
      ref: volume,
      state: 'a directory of the store, whose size this version cannot limit',
      expected: ['tmpfs'],
      remedy: "Use driverOptions {type: 'tmpfs', device: 'tmpfs', o: 'size=64m'} for one in memory",
    });
  }
  if (names.length === 0) return undefined;
  const { type = '', device = '', o = '' } = options;
  if (device === '') throw refuse('misses the option "device"');
  const words = o.split(',').filter(word => word !== '');
  if (words.includes('bind') || words.includes('rbind')) {
    if (!device.startsWith('/')) throw refuse(`binds ${JSON.stringify(device)}, which is no absolute path`);
    return { kind: 'bind', source: device, readOnly: words.includes('ro') };
  }
  if (type === '') throw refuse('misses the option "type"');
  return {
    kind: 'filesystem',
    type,
    device,
    attributes: words.reduce((bits, word) => bits | (flags.get(word) ?? 0), 0),
    options: words.filter(word => !flags.has(word)).join(','),
  };
}
