import { spawn } from 'node:child_process';
import { request, type IncomingMessage } from 'node:http';

import { programPath } from './needs.js';

/** `host:port` of a real registry without log-in: for tests inside `needs('registry')`. */
export function realRegistry(): string {
  return variable('TSC_TEST_REGISTRY');
}

/** What a program said, whatever it exited with. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of the host to its end: `skopeo`, `umoci`, `docker`, which talks to the real engine of the tests. */
export function runPeer(
  program: string,
  args: readonly string[],
  options: { readonly input?: string | Uint8Array } = {},
): Promise<Said> {
  const docker = process.env['TSC_TEST_DOCKER_HOST'];
  const child = spawn(programPath(program) ?? program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...(docker === undefined ? {} : { DOCKER_HOST: docker }) },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {}); // It ended early: its status says why.
  child.stdin.end(options.input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve({ code, stdout, stderr }));
  });
}

/** Asks the real Docker Engine's API, for tests inside `needs('docker')`. Answers that are JSON are parsed. */
export async function askDocker(
  method: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const socketPath = new URL(variable('TSC_TEST_DOCKER_HOST')).pathname;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    request({ socketPath, method, path, headers, agent: false }, resolve).on('error', reject).end(text);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const isJson = response.headers['content-type']?.startsWith('application/json') === true;
  return { status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text };
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set: put the test inside needs(…)`);
  return value;
}
