import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

/** Whom a test registry lets in. */
export type AuthOptions =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | {
      readonly type: 'bearer';
      /** Left out: anybody gets a token. */
      readonly username?: string;
      readonly password?: string;
      /** Accepted in place of name and password, by POST. */
      readonly identityToken?: string;
      readonly expiresInSeconds?: number;
      /** Instead of its own `/token`. */
      readonly realm?: string;
    };

/** The distribution project's token authentication, or basic. */
export class RegistryAuth {
  readonly #options: AuthOptions;
  readonly #tokens = new Map<string, string[]>();

  constructor(options: AuthOptions) {
    this.#options = options;
  }

  revoke(): void {
    this.#tokens.clear();
  }

  serve(
    url: URL,
    headers: IncomingHttpHeaders,
    body: Buffer,
    response: ServerResponse,
    host: string,
  ): 'answered' | 'goes on' {
    if (this.#options.type === 'bearer' && url.pathname === '/token') {
      this.#sendToken(url, headers, body, response);
      return 'answered';
    }
    const scope = scopeOf(url, response.req.method ?? 'GET');
    if (this.#lets(headers.authorization, scope)) return 'goes on';
    const realm = this.#options.type === 'bearer' ? (this.#options.realm ?? `http://${host}/token`) : '';
    const challenge =
      this.#options.type === 'basic'
        ? 'Basic realm="Registry Realm"'
        : `Bearer realm="${realm}",service="test registry",scope="${scope}"`;
    deny(response, { 'www-authenticate': challenge });
    return 'answered';
  }

  #lets(authorization: string | undefined, scope: string): boolean {
    if (this.#options.type === 'basic') return authorization === basic(this.#options);
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1];
    return token !== undefined && (this.#tokens.get(token)?.includes(scope) ?? false);
  }

  #sendToken(url: URL, headers: IncomingHttpHeaders, body: Buffer, response: ServerResponse): void {
    const options = this.#options as Extract<AuthOptions, { type: 'bearer' }>;
    const form = new URLSearchParams(body.toString());
    const scopes = [...url.searchParams.getAll('scope'), ...(form.get('scope')?.split(' ') ?? [])];
    const { username, password, identityToken } = options;
    const named = username === undefined || headers.authorization === basic({ username, password: password ?? '' });
    const known = identityToken !== undefined && form.get('refresh_token') === identityToken;
    if (!named && !known) return deny(response, {});
    const token = randomBytes(16).toString('hex');
    this.#tokens.set(token, scopes);
    const answer = JSON.stringify({ token, expires_in: options.expiresInSeconds ?? 300 });
    response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from(answer));
  }
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function scopeOf(url: URL, method: string): string {
  const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags)\//.exec(url.pathname)?.[1];
  return `repository:${repository}:${method === 'GET' || method === 'HEAD' ? 'pull' : 'pull,push'}`;
}

function deny(response: ServerResponse, headers: Record<string, string>): void {
  const body = JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });
  response.writeHead(401, { 'content-type': 'application/json', ...headers }).end(Buffer.from(body));
}
