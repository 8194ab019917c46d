import { ConflictError, NotFoundError, ParseError } from '../errors.js';
import { reservedNames } from './record.js';

/** A name that a user may give to a network. */
export function checkName(call: string, name: string): void {
  if (reservedNames.includes(name))
    throw new ConflictError({
      call,
      kind: 'network',
      ref: name,
      reason: 'is a reserved name',
      remedy: 'Choose another one',
    });
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) {
    const reason = 'is no name for a network. Use letters, digits, "_", "." and "-", at least two of them';
    throw new ParseError({ call, source: name, reason });
  }
}

/** A size that the kernel takes. */
export function checkMtu(call: string, mtu: number): number {
  if (Number.isInteger(mtu) && mtu >= 68 && mtu <= 65535) return mtu;
  throw new TypeError(`${call}: mtu: ${mtu} is not between 68 and 65535`);
}

/** There is no such network. */
export function notFound(call: string, ref: string): NotFoundError {
  return new NotFoundError({ call, kind: 'network', ref });
}

/** Another network has the name. */
export function nameTaken(call: string, name: string, id: string | undefined): ConflictError {
  const remedy = 'Choose another name, or get the network that has it';
  return new ConflictError({
    call,
    kind: 'network',
    ref: name,
    reason: 'exists already',
    usedBy: id === undefined ? [] : [id],
    remedy,
  });
}

/** Every default subnet is taken. */
export function noSubnet(call: string, name: string): ConflictError {
  const remedy = 'Name a subnet, or prune networks';
  return new ConflictError({ call, kind: 'network', ref: name, reason: 'all default subnets are in use', remedy });
}
