import { runNft } from './nft.js';

/** An element of a map of published ports. */
interface Element {
  readonly map: string;
  /** As nft writes and reads it: `6 . 8080`, or `10.0.0.1 . 6 . 8080`. */
  readonly key: string;
  /** Where it leads. */
  readonly address: string;
}

/**
 * Takes the ports out of a network's maps that lead to these addresses: what a monitor does at its end, for one that was
 * killed. Call it while the addresses are claimed still, so that they are nobody else's yet.
 *
 * @param table - Of {@link tableOf}.
 */
export async function withdrawPorts(table: string, addresses: ReadonlySet<string>): Promise<void> {
  if (addresses.size === 0) return;
  // Numbers for all, whatever this machine calls them.
  const stale = elementsOf(await runNft(['-n', 'list', 'table', 'inet', table])).filter(({ address }) =>
    addresses.has(address),
  );
  if (stale.length === 0) return;
  const commands = stale.map(({ map, key }) => `delete element inet ${table} ${map} { ${key} }\n`);
  await runNft(['-f', '-'], commands.join(''));
}

/** Reads the maps out of what `nft list table` prints. */
export function elementsOf(listing: string): Element[] {
  return [...listing.matchAll(/^\s*map (\w+) \{([^{}]*(?:\{[^{}]*\})?)[^{}]*\}/gm)].flatMap(([, map = '', body = '']) =>
    [...body.matchAll(/([0-9a-f.:]+(?: \. \w+)+) : ([0-9a-f.:]+) \. \d+/g)].map(([, key = '', address = '']) => ({
      map,
      key,
      address,
    })),
  );
}
