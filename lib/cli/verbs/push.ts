import type { Engine } from '../../engine.js';
import { NotFoundError } from '../../errors.js';
import { parseReference, type Reference } from '../../oci/reference.js';
import type { AbortOptions } from '../../types.js';
import type { Invocation } from '../command.js';
import type { pushFlags } from '../commands/registry.js';
import { TransferLines } from '../progress.js';
import { print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `push`. */
export async function push({ globals, flags, args: [name = ''] }: Invocation<typeof pushFlags>): Promise<number> {
  const all = flags['all-tags'];
  const reference = parseReference(name, { call: 'images.push', ...(all ? { defaultTag: false } : {}) });
  if (all && (reference.tag !== undefined || reference.digest !== undefined)) {
    throw new UsageError("tag can't be used with --all-tags/-a", 1);
  }
  const say = (line: string): void => void (flags.quiet || print(line));
  return withEngine(globals, async ({ engine, signal }) => {
    if (!all && parseReference(name, { defaultTag: false }).tag === undefined) say('Using default tag: latest');
    say(`The push refers to repository [${reference.repository}]`);
    const references = all ? await tagsOf(engine, reference, { signal }) : [reference];
    if (references.length === 0) {
      throw new NotFoundError({ call: 'images.push', kind: 'image', ref: reference.familiarRepository() });
    }
    for (const each of references) await pushOne(engine, each, { quiet: flags.quiet, signal });
    return 0;
  });
}

async function pushOne(
  engine: Engine,
  reference: Reference,
  { quiet, signal }: AbortOptions & { readonly quiet: boolean },
): Promise<void> {
  const pushing = engine.images.push(reference.toString(), signal === undefined ? {} : { signal });
  pushing.catch(() => {}); // Heard of below.
  if (!quiet) await new TransferLines(process.stdout, 'Push').show(pushing);
  const { digest, size } = await pushing;
  print(quiet ? reference.toString() : `${reference.version}: digest: ${digest} size: ${size}`);
}

async function tagsOf(engine: Engine, { repository }: Reference, options: AbortOptions): Promise<Reference[]> {
  const images = await engine.images.list({}, options);
  const infos = await Promise.all(images.map(image => image.inspect(options)));
  return infos
    .flatMap(({ tags }) => tags.map(tag => parseReference(tag)))
    .filter(reference => reference.repository === repository)
    .sort((a, b) => a.version.localeCompare(b.version));
}
