import { errorCode, isEngineError } from '../errors.js';
import type { CredentialProvider } from '../registry/credentials.js';
import { isInsecure, pullEndpoints, type RegistrySettings } from '../registry/mirrors.js';
import type { RegistryOptions } from '../registry/options.js';
import { Registry } from '../registry/registry.js';

/** How registries are reached. */
export interface RegistryAccess extends RegistrySettings {
  /** Default: anonymous. */
  readonly credentials?: CredentialProvider;
  /** How patient to be with registries, and where their certificates are. */
  readonly registry?: Omit<RegistryOptions, 'credentials' | 'insecure'>;
  /** Hears which mirror failed, and of what. */
  readonly onMirrorFailure?: (host: string, error: unknown) => void;
}

/** A registry itself, never a mirror: what is pushed goes there. */
export async function openRegistry(
  host: string,
  access: RegistryAccess,
  credentials = access.credentials,
): Promise<Registry> {
  return connect(host, await isInsecure(host, access), access, credentials);
}

/**
 * Has something read from a registry: from each of its mirrors, as long as they fail, and then from itself. What one of
 * them sent and was verified need not come again.
 */
export async function readFromRegistry<T>(
  host: string,
  access: RegistryAccess,
  credentials: CredentialProvider | undefined,
  read: (registry: Registry) => Promise<T>,
): Promise<T> {
  for (const endpoint of await pullEndpoints(host, access)) {
    await using registry = connect(endpoint.host, endpoint.insecure, access, credentials);
    if (!endpoint.mirror) return await read(registry);
    try {
      return await read(registry);
    } catch (error) {
      // A full disk is full for the next one, too; and whoever aborted wants no other.
      if (!isEngineError(error) || errorCode(error) === 'CTR_SYSCALL') throw error;
      access.onMirrorFailure?.(endpoint.host, error);
    }
  }
  throw new TypeError(`${host}: no registry to ask`);
}

function connect(
  host: string,
  insecure: boolean,
  access: RegistryAccess,
  credentials: CredentialProvider | undefined,
): Registry {
  return new Registry(host, {
    ...access.registry,
    ...(credentials && { credentials }),
    ...(insecure && { insecure }),
  });
}
