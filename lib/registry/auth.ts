import { ParseError, RegistryError } from '../errors.js';
import { parseJson } from '../oci/json.js';
import { abortable } from '../util/abort.js';

import { addressesOf, isLoopback, isPrivateAddress } from './address.js';
import { parseChallenges, type Challenge } from './challenge.js';
import type { Credential, CredentialProvider } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import { refusal } from './refusal.js';
import type { Request, Response } from './transport.js';

const MAX_TOKEN_BYTES = 1024 * 1024;
/** What the token specification says where `expires_in` is missing. */
const DEFAULT_EXPIRY_S = 60;
/** A token is not used in its last seconds: it must last until the registry has read it. */
const MARGIN_MS = 5_000;

export interface AuthorizerOptions {
  /** As the user named it; what credentials are looked up by. */
  readonly host: string;
  readonly endpoint: Endpoint;
  readonly credentials: CredentialProvider | undefined;
  /** Sends one request, tried again where that helps, redirects not followed. */
  readonly send: (request: Request) => Promise<Response>;
  /** Fires when the registry is closed. */
  readonly closing: AbortSignal;
  /** Asks for an identity token along with the token, as a log-in does. */
  readonly offline: boolean;
}

interface Token {
  readonly header: string;
  readonly goodUntil: number;
}

/**
 * Finds the `Authorization` that a registry asks for. Callers that ask for the same scope at the same time share one
 * token, and one that leaves does not take it from the others.
 *
 * @see {@link https://distribution.github.io/distribution/spec/auth/token/ | the token authentication specification}
 */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #tokens = new Map<string, Token>();
  readonly #pending = new Map<string, Promise<string>>();
  #basic: string | undefined;
  #credential: Promise<Credential | undefined> | undefined;
  #authenticated = false;
  #identityToken: string | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** Whether credentials were found, and so were part of whatever was refused. */
  get authenticated(): boolean {
    return this.#authenticated;
  }

  /** What a registry gave for the password, to be kept instead of it. */
  get identityToken(): string | undefined {
    return this.#identityToken;
  }

  /** What can be sent along without asking, from earlier answers. */
  known(scope: string): string | undefined {
    if (this.#basic !== undefined) return this.#basic;
    const token = this.#tokens.get(scope);
    return token !== undefined && token.goodUntil > Date.now() ? token.header : undefined;
  }

  /**
   * What to answer to a 401.
   *
   * @param refused - What was sent along and not accepted.
   * @returns `undefined` when there is nothing to offer.
   */
  async answer(
    response: Response,
    scope: string,
    refused: string | undefined,
    request: { readonly call: string; readonly signal: AbortSignal },
  ): Promise<string | undefined> {
    const challenges = parseChallenges(response.headers('www-authenticate'));
    const bearer = challenges.find(challenge => challenge.scheme === 'bearer');
    if (bearer !== undefined) return this.#bearer(bearer, scope, refused, request);
    if (challenges.some(challenge => challenge.scheme === 'basic')) return this.#answerBasic(refused, request.signal);
    return undefined;
  }

  async #answerBasic(refused: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    const credential = await this.#lookUp(signal);
    if (credential?.type !== 'basic') return undefined;
    const header = basic(credential);
    if (header === refused) return undefined;
    this.#basic = header;
    return header;
  }

  async #bearer(
    challenge: Challenge,
    scope: string,
    refused: string | undefined,
    request: { readonly call: string; readonly signal: AbortSignal },
  ): Promise<string> {
    if (this.#tokens.get(scope)?.header === refused) this.#tokens.delete(scope);
    const known = this.known(scope);
    if (known !== undefined) return known;
    let pending = this.#pending.get(scope);
    if (pending === undefined) {
      pending = this.#fetchToken(challenge, scope, request.call).finally(() => this.#pending.delete(scope));
      this.#pending.set(scope, pending);
      // Whoever waits hears of it; when all have left, nobody needs to.
      pending.catch(() => {});
    }
    return abortable(pending, request.signal);
  }

  #lookUp(signal: AbortSignal): Promise<Credential | undefined> {
    this.#credential ??= this.#askProvider();
    return abortable(this.#credential, signal);
  }

  async #askProvider(): Promise<Credential | undefined> {
    const { credentials, host, closing } = this.#options;
    try {
      const credential = await credentials?.(host, { signal: closing });
      this.#authenticated = credential !== undefined;
      return credential;
    } catch (error) {
      this.#credential = undefined;
      throw error;
    }
  }

  async #fetchToken(challenge: Challenge, scope: string, call: string): Promise<string> {
    const realm = await trustedRealm(challenge.parameters['realm'] ?? '', this.#options, call);
    const credential = await this.#lookUp(this.#options.closing);
    const request = tokenRequest(realm, challenge, scope, credential, { call, signal: this.#options.closing });
    if (this.#options.offline && request.method === 'GET') {
      request.url.searchParams.set('offline_token', 'true');
      request.url.searchParams.set('client_id', 'tscontainer');
    }
    const { endpoint } = this.#options;
    // On the registry's own host what holds for it; elsewhere nothing is to be waived.
    const unverified = endpoint.unverified && request.url.host === endpoint.url.host;
    const response = await this.#options.send({ ...request, unverified });
    if (response.status !== 200) {
      throw await refusal(response, { call, host: this.#options.host, authenticated: credential !== undefined });
    }
    const json = parseJson(await response.bytes(MAX_TOKEN_BYTES), MAX_TOKEN_BYTES, { call, source: realm.href });
    const text = json.maybe('token', v => v.string()) || json.maybe('access_token', v => v.string()) || '';
    if (!/^[\x21-\x7e]+$/.test(text))
      throw new ParseError({ call, source: realm.href, reason: 'the answer has no token' });
    this.#identityToken = json.maybe('refresh_token', v => v.string()) || undefined;
    const seconds = json.maybe('expires_in', v => v.count()) || DEFAULT_EXPIRY_S;
    const header = `Bearer ${text}`;
    this.#tokens.set(scope, { header, goodUntil: Date.now() + seconds * 1000 - MARGIN_MS });
    return header;
  }
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * The token server is named by the registry, so it may be anywhere; but credentials travel in the clear only where the
 * user accepted that: on the same host as a registry that is itself reached by plain HTTP. And a registry of the world
 * does not get to send us into our own network, where a request of ours may mean something (CVE-2020-15157 and its kin).
 */
async function trustedRealm(text: string, { endpoint, host }: AuthorizerOptions, call: string): Promise<URL> {
  const base = endpoint.url;
  const refuse = (reason: string): never => {
    throw new RegistryError({
      call,
      status: 401,
      method: 'GET',
      url: base,
      reason: `the registry sends us to ${JSON.stringify(text.slice(0, 200))} for a token, ${reason}`,
      remedy: `Nothing was sent there; ask whoever runs ${host}`,
    });
  };
  if (!URL.canParse(text)) return refuse('which is not a URL');
  const realm = new URL(text);
  if (realm.username !== '' || realm.password !== '') return refuse('which has credentials in it');
  if (realm.protocol !== 'https:' && realm.protocol !== 'http:') return refuse('which is not HTTP');
  if (realm.hostname !== base.hostname && (await leadsInside(base, realm))) {
    return refuse('which is in a private network, and the registry is not');
  }
  if (realm.protocol === 'https:') return realm;
  if (base.protocol !== 'http:') return refuse('which would send credentials unencrypted');
  const near = realm.hostname === base.hostname || (isLoopback(realm.hostname) && isLoopback(base.hostname));
  return near ? realm : refuse('which is another host, and unencrypted');
}

async function leadsInside(from: URL, to: URL): Promise<boolean> {
  if (!(await addressesOf(to)).some(isPrivateAddress)) return false;
  const own = await addressesOf(from);
  return own.length > 0 && !own.some(isPrivateAddress);
}

function tokenRequest(
  realm: URL,
  challenge: Challenge,
  scope: string,
  credential: Credential | undefined,
  request: { readonly call: string; readonly signal: AbortSignal },
): Request {
  const { service, scope: asked } = challenge.parameters;
  // What the registry asks for, and what we know that we shall need: a HEAD before a push asks for less than the push.
  const scopes = [...new Set([...(asked ?? '').split(/\s+/), ...scope.split(' ')])].filter(part => part !== '');
  if (credential?.type === 'token') return oauthRequest(realm, service, scopes, credential.identityToken, request);
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const part of scopes) url.searchParams.append('scope', part);
  if (credential !== undefined) url.searchParams.set('account', credential.username);
  const headers = { accept: 'application/json', ...(credential && { authorization: basic(credential) }) };
  return { ...request, method: 'GET', url, headers };
}

/** @see {@link https://distribution.github.io/distribution/spec/auth/oauth/ | the OAuth2 token specification} */
function oauthRequest(
  url: URL,
  service: string | undefined,
  scopes: readonly string[],
  identityToken: string,
  request: { readonly call: string; readonly signal: AbortSignal },
): Request {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: identityToken,
    client_id: 'tscontainer',
    ...(service !== undefined && { service }),
    scope: scopes.join(' '),
  });
  const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' };
  return { ...request, method: 'POST', url, headers, body: form.toString() };
}
