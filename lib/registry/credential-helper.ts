import { spawn } from 'node:child_process';

import { errorCode, LimitError, NotFoundError, ParseError } from '../errors.js';
import { parseJson } from '../oci/json.js';
import { onAborted } from '../util/abort.js';

import type { Credential } from './credentials.js';

const CALL = 'dockerCredentials';
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** What all helpers say, and what Docker itself compares with: the protocol has no code for it. */
const NOT_FOUND = 'credentials not found in native keychain';

/**
 * Asks `docker-credential-NAME get`.
 *
 * @returns `undefined` when the helper knows nothing of that server.
 * @see {@link https://github.com/docker/docker-credential-helpers/blob/v0.9.3/README.md#development | the helpers' protocol}
 */
export async function askHelper(name: string, server: string, signal?: AbortSignal): Promise<Credential | undefined> {
  const program = programOf(name);
  const output = await succeed(program, 'get', server, server, signal);
  if (output === undefined) return undefined;
  const json = parseJson(output, MAX_OUTPUT_BYTES, { call: CALL, source: program });
  const username = json.maybe('Username', value => value.string()) ?? '';
  const secret = json.maybe('Secret', value => value.string()) ?? '';
  if (secret === '') return undefined;
  return username === TOKEN ? { type: 'token', identityToken: secret } : { type: 'basic', username, password: secret };
}

/** Has a helper keep a credential. */
export async function storeInHelper(
  name: string,
  server: string,
  credential: Credential,
  signal?: AbortSignal,
): Promise<void> {
  const [Username, Secret] =
    credential.type === 'token' ? [TOKEN, credential.identityToken] : [credential.username, credential.password];
  await succeed(programOf(name), 'store', JSON.stringify({ ServerURL: server, Username, Secret }), server, signal);
}

/** Has a helper forget a credential; that it knows none is no failure. */
export async function eraseFromHelper(name: string, server: string, signal?: AbortSignal): Promise<void> {
  await succeed(programOf(name), 'erase', server, server, signal);
}

/** In place of a user's name it says that the secret is an identity token. */
const TOKEN = '<token>';

function programOf(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return `docker-credential-${name}`;
  throw new ParseError({ call: CALL, source: JSON.stringify(name), reason: 'is not the name of a credential helper' });
}

/** What it said; `undefined` when it knows nothing of that server. */
async function succeed(
  program: string,
  verb: 'get' | 'store' | 'erase',
  input: string,
  server: string,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const { exitCode, output } = await run(program, verb, input, signal);
  if (exitCode === 0) return output;
  if (output.toString().trim() === NOT_FOUND) return undefined;
  // Its output may be a secret by mistake, so it is left out.
  throw new ParseError({
    call: CALL,
    source: program,
    reason: `exited with ${exitCode} when asked ${verb === 'get' ? 'for' : `to ${verb}`} ${server}`,
  });
}

/** Two milliseconds with `node:child_process`; nothing that execa adds is needed here. */
function run(
  program: string,
  verb: string,
  input: string,
  signal?: AbortSignal,
): Promise<{ exitCode: number | null; output: Buffer }> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'ignore'], env: process.env });
    const giveUp = (reason: unknown): void => {
      child.kill('SIGKILL');
      // What it started itself is not ours to kill, but finds nobody listening.
      child.stdout.destroy();
      reject(reason as Error);
    };
    const off = onAborted(signal, giveUp);
    const chunks: Buffer[] = [];
    let length = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_OUTPUT_BYTES) giveUp(tooMuch(program));
      else chunks.push(chunk);
    });
    child.on('error', error => {
      off();
      reject(errorCode(error) === 'ENOENT' ? missing(program) : error);
    });
    child.on('close', exitCode => {
      off();
      resolve({ exitCode, output: Buffer.concat(chunks) });
    });
    // It may exit without having read its input.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

function tooMuch(program: string): LimitError {
  const reason = `writes more than ${MAX_OUTPUT_BYTES} bytes`;
  return new LimitError({ call: CALL, what: program, reason, limit: MAX_OUTPUT_BYTES });
}

function missing(program: string): NotFoundError {
  return new NotFoundError({
    call: CALL,
    kind: 'file',
    ref: program,
    remedy: 'config.json names it: install it, or take credsStore or credHelpers out of there',
  });
}
