import { isIP } from 'node:net';

import { checkMtu } from './checks.js';
import type { NetworkRecord } from './record.js';

interface Settings {
  readonly mtu?: number;
  readonly icc?: boolean;
  readonly masquerade?: boolean;
  readonly hostBinding?: string;
  readonly device?: string;
  readonly interfacePrefix?: string;
  readonly options?: Readonly<Record<string, string>>;
}

type Checked = Pick<NetworkRecord, 'mtu' | 'icc' | 'masquerade' | 'hostBinding' | 'interfacePrefix' | 'options'> & {
  readonly device?: string;
};

/** Fifteen bytes at most, and nothing that a shell or a path would read otherwise. */
const DEVICE = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;

/**
 * Checks how a network is to be, leaving out what is as always.
 *
 * @throws `TypeError` naming the option and its value.
 */
export function checkSettings(call: string, settings: Settings): Checked {
  const { mtu, icc, masquerade, hostBinding, device, interfacePrefix, options = {} } = settings;
  const check = (holds: boolean, option: string, value: unknown, expected: string): void => {
    if (!holds) throw new TypeError(`${call}: ${option}: expected ${expected}, got ${JSON.stringify(value)}`);
  };
  if (hostBinding !== undefined) check(isIP(hostBinding) !== 0, 'hostBinding', hostBinding, 'an IP address');
  if (device !== undefined) check(DEVICE.test(device), 'device', device, 'the name of a device, 15 characters at most');
  if (interfacePrefix !== undefined)
    check(
      /^[a-z][a-z0-9]{0,10}$/.test(interfacePrefix),
      'interfacePrefix',
      interfacePrefix,
      'small letters and digits',
    );
  return {
    ...(mtu === undefined ? {} : { mtu: checkMtu(call, mtu) }),
    ...(icc === false ? { icc } : {}),
    ...(masquerade === false ? { masquerade } : {}),
    ...(hostBinding === undefined ? {} : { hostBinding }),
    ...(device === undefined ? {} : { device }),
    ...(interfacePrefix === undefined ? {} : { interfacePrefix }),
    ...(Object.keys(options).length === 0 ? {} : { options: { ...options } }),
  };
}
