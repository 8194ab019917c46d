import { NotFoundError, RateLimitError, RegistryError, type EngineError, type RegistryErrorEntry } from '../errors.js';
import { parseJson } from '../oci/json.js';

import { isHub } from './address.js';
import { readRateLimit } from './rate-limit.js';
import type { Response } from './transport.js';

const MAX_BODY_BYTES = 64 * 1024;

/** What was asked for, so that the refusal can be explained. */
export interface Asked {
  readonly call: string;
  /** The registry, as the user named it. */
  readonly host: string;
  /** Credentials were sent along, or would have been. */
  readonly authenticated: boolean;
  /** What a 404 means is missing. */
  readonly missing?: { readonly kind: 'image' | 'blob'; readonly ref: string };
}

/** Turns an answer that is no success into the error to throw. */
export async function refusal(response: Response, asked: Asked): Promise<EngineError> {
  const errors = await readErrors(response);
  const { status, method, url } = response;
  const said = saidBy(status, errors);
  if (status === 404 && asked.missing !== undefined) {
    const { kind, ref } = asked.missing;
    return new NotFoundError({ call: asked.call, kind, ref, remedy: `${asked.host} answered ${said}` });
  }
  const told = { call: asked.call, status, method, url, errors, ...explain(response, asked, said) };
  return status === 429 ? new RateLimitError({ ...told, ...readRateLimit(response) }) : new RegistryError(told);
}

function explain(response: Response, asked: Asked, said: string): { reason: string; remedy?: string } {
  const { status } = response;
  const login = `docker login${isHub(asked.host) ? '' : ` ${asked.host}`}`;
  if (status === 401 || status === 403) {
    return asked.authenticated
      ? {
          reason: `the registry refused these credentials (${said})`,
          remedy: `Check them, or log in again with ${login}`,
        }
      : {
          reason: `the registry refused anonymous access (${said})`,
          remedy: `Pass credentials, or log in with ${login}`,
        };
  }
  if (status === 429)
    return { reason: `the registry asks us to slow down (${said})`, remedy: whenAgain(response, login) };
  if (status >= 500) return { reason: `the registry failed (${said})`, remedy: 'Try again later' };
  if (status >= 300 && status < 400) return { reason: `the registry redirects where it must not (${said})` };
  return { reason: `the registry refused (${said})` };
}

function whenAgain(response: Response, login: string): string {
  const { resetAt } = readRateLimit(response);
  const when =
    resetAt === undefined ? 'later' : `in ${Math.max(0, Math.ceil((resetAt.getTime() - Date.now()) / 1000))} s`;
  return `Try again ${when}; ${login} may raise the limit`;
}

function saidBy(status: number, errors: readonly RegistryErrorEntry[]): string {
  const [first] = errors;
  if (first === undefined) return String(status);
  return `${status} ${first.code}${first.message === '' ? '' : `: ${first.message}`}`;
}

/** distribution-spec v1.1.1, "Error Codes". Whatever else the body is, it tells nothing that we could use. */
async function readErrors(response: Response): Promise<RegistryErrorEntry[]> {
  try {
    const bytes = await response.bytes(MAX_BODY_BYTES);
    const json = parseJson(bytes, MAX_BODY_BYTES, { call: '', source: '' });
    return json
      .at('errors')
      .items()
      .map(entry => ({
        code: printable(entry.maybe('code', value => value.string()) ?? 'UNKNOWN'),
        message: printable(entry.maybe('message', value => value.string()) ?? ''),
        ...(entry.has('detail') && { detail: entry.at('detail').value }),
      }));
  } catch {
    // The status says what matters; a body that is no error list must not hide it.
    return [];
  }
}

/** The text ends up on terminals, and is not ours. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300);
}
