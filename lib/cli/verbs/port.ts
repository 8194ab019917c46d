import { NotFoundError } from '../../errors.js';
import type { PortMapping } from '../../network/ports.js';
import type { Invocation } from '../command.js';
import { hostAddresses } from '../ports.js';
import { print, withEngine } from '../session.js';

/** `port`. */
export async function port({ globals, args: [ref = '', wanted] }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const { ports } = await (await engine.containers.get(ref, { signal })).inspect();
    if (wanted === undefined) {
      for (const each of ports) for (const address of hostAddresses(each)) print(`${nameOf(each)} -> ${address}`);
      return 0;
    }
    const name = wanted.includes('/') ? wanted : `${wanted}/tcp`;
    const addresses = ports.filter(each => nameOf(each) === name).flatMap(hostAddresses);
    if (addresses.length === 0)
      throw new NotFoundError({
        call: 'container.port',
        kind: 'port',
        ref: `${ref}:${name}`,
        remedy: 'It is not published',
      });
    for (const address of addresses) print(address);
    return 0;
  });
}

function nameOf({ container, protocol }: Required<PortMapping>): string {
  return `${container}/${protocol}`;
}
