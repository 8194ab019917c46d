import type { Reference } from '../oci/reference.js';
import type { Registry } from '../registry/registry.js';
import type { ImageSource } from './graph.js';

/** An image of a registry, with all platforms that it has. */
export async function registrySource(
  registry: Registry,
  reference: Reference,
  { call, signal }: { readonly call: string; readonly signal: AbortSignal },
): Promise<ImageSource> {
  const { path } = reference;
  return {
    name: reference.familiar(),
    tags: reference.digest === undefined ? [`${reference.repository}:${reference.version}`] : [],
    top: await registry.manifest(path, reference.version, { signal, call }),
    document: ({ digest }) => registry.manifest(path, digest, { signal, call }),
    blob: async (descriptor, mine) => registry.blob(path, descriptor, { signal: mine, call, verify: false }),
    [Symbol.asyncDispose]: () => registry.close(),
  };
}
