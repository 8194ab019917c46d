import { isEngineError } from '../errors.js';
import { parseReference } from '../oci/reference.js';
import type { AbortOptions, Digest, PlatformString } from '../types.js';
import type { ObtainOptions } from './options.js';
import type { RegistryAccess } from './registries.js';
import type { ResolvedImage } from './resolve.js';

/** What decides needs to know, and can have done. */
export interface Obtaining {
  /** Whether an image came from a registry under that name with a digest. */
  readonly isKnownAs: (id: Digest, name: string) => boolean;
  readonly access: RegistryAccess;
  readonly pull: (options: AbortOptions & { readonly platform?: PlatformString }) => Promise<ResolvedImage>;
}

/** The image that is here, or the registry's, as the policy says. */
export async function obtainImage(
  ref: string,
  here: ResolvedImage | undefined,
  { signal, platform }: ObtainOptions,
  obtaining: Obtaining,
): Promise<ResolvedImage> {
  if (here !== undefined && !(await isOutdated(ref, here, obtaining, signal))) return here;
  return obtaining.pull({ ...(signal && { signal }), ...(platform && { platform }) });
}

/** Whether the registry has another one by now. One that cannot be asked has not, as far as can be told. */
async function isOutdated(
  ref: string,
  here: ResolvedImage,
  { isKnownAs, access }: Obtaining,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const reference = parseReference(ref, { call: 'images.pull' });
  if (reference.digest !== undefined) return false;
  try {
    const { readFromRegistry } = await import('./registries.js');
    const { path, version, registryHost } = reference;
    const { digest } = await readFromRegistry(registryHost, access, access.credentials, registry =>
      registry.resolve(path, version, signal ? { signal } : {}),
    );
    return !isKnownAs(here.id, `${reference.repository}@${digest}`);
  } catch (error) {
    signal?.throwIfAborted();
    if (isEngineError(error)) return false;
    throw error;
  }
}
