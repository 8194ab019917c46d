import type { Digester } from '../oci/digest.js';
import type { AbortOptions } from '../types.js';

import type { CredentialProvider } from './credentials.js';

/** How a registry is talked to. */
export interface RegistryOptions {
  /** Asked when the registry wants to know who we are. Left out: anonymous. */
  readonly credentials?: CredentialProvider;
  /**
   * Whoever signed its certificate will do, and plain HTTP, when it speaks no TLS. Default: only for 127.0.0.0/8, `::1` and
   * `localhost`, as in Docker; `false` wants proper HTTPS there, too.
   */
  readonly insecure?: boolean;
  /**
   * Where its authorities and our client certificates are, in directories that are called as the registry is, as Docker
   * has them. Default: Docker's and podman's own, as `/etc/docker/certs.d`.
   */
  readonly certificates?: string;
  /** What the registry is told that we are. Default `tscontainer`. */
  readonly userAgent?: string;
  /** Connections to one host. Default `8`. */
  readonly connections?: number;
  /** How long a connection may take to come about. Default `15_000`. */
  readonly connectTimeoutMs?: number;
  /** How long an answer, or the next bytes of it, may take to come. Default `60_000`: a registry that mirrors another fetches first. */
  readonly stallTimeoutMs?: number;
  /** Further tries after a failure that may pass. Default `4`. */
  readonly retries?: number;
  /** Before the second try, doubled for each further one, where the registry does not say. Default `250`. */
  readonly retryDelayMs?: number;
  /** Asks for an identity token, too. @internal */
  readonly offline?: boolean;
}

/** What every call takes. */
export interface CallOptions extends AbortOptions {
  /** The user's call, for messages, where it is not this one. @internal */
  readonly call?: string;
}

/** How a blob is fetched. */
export interface BlobOptions extends CallOptions {
  /** Bytes that are there already: only the rest is asked for. Default `0`. */
  readonly offset?: number;
  /** Has seen the bytes before `offset`. Without it, the digest of a blob that is resumed is not checked here. */
  readonly digester?: Digester;
  /** `false` leaves the digest to the reader, who digests anyhow; the size is checked all the same. Default `true`. */
  readonly verify?: boolean;
}
