import { createInterface } from 'node:readline/promises';
import { text as readAll } from 'node:stream/consumers';

import { dockerCredentials } from '../../registry/credentials.js';
import { login as logIn, type Login } from '../../registry/login.js';
import { Registry } from '../../registry/registry.js';
import type { Invocation } from '../command.js';
import type { loginFlags } from '../commands/registry.js';
import { print } from '../session.js';
import { UsageError } from '../usage-error.js';

const HUB = 'docker.io';

/** `login`. */
export async function login({ flags, args: [host = HUB] }: Invocation<typeof loginFlags>): Promise<number> {
  const { username, password } = flags;
  const fromInput = flags['password-stdin'];
  if (password !== undefined && fromInput) {
    throw new UsageError('conflicting options: cannot specify both --password and --password-stdin', 1);
  }
  if (fromInput && username === undefined) {
    throw new UsageError('the --password-stdin option requires --username to be set', 1);
  }
  if (password !== undefined) warn('WARNING! Using --password via the CLI is insecure. Use --password-stdin.');
  const given = fromInput ? (await readAll(process.stdin)).replace(/\r?\n$/, '') : password;
  if (username === undefined && given === undefined && (await alreadyIn(host))) return 0;
  const who = username ?? (await ask('Username: ', false));
  const secret = given || (await ask('Password: ', true));
  const done = await logIn(host, { username: who, password: secret });
  tell(done);
  print('Login Succeeded');
  return 0;
}

function tell({ configPath }: Login): void {
  if (configPath === undefined) return;
  warn(
    [
      '',
      `WARNING! Your credentials are stored unencrypted in '${configPath}'.`,
      'Configure a credential helper to remove this warning. See',
      'https://docs.docker.com/go/credential-store/',
      '',
    ].join('\n'),
  );
}

/** Whether what was saved before still lets us in. */
async function alreadyIn(host: string): Promise<boolean> {
  const known = await dockerCredentials()(host, {});
  if (known === undefined) return false;
  const name = known.type === 'basic' ? ` [Username: ${known.username}]` : '';
  warn(`Authenticating with existing credentials...${name}`);
  await using registry = new Registry(host, { credentials: () => known });
  await registry.check({ call: 'login' });
  warn("\n Info -> To login with a different account, run 'logout' followed by 'login'\n");
  print('Login Succeeded');
  return true;
}

/** What is typed for a password is not shown. */
async function ask(question: string, hidden: boolean): Promise<string> {
  if (!process.stdin.isTTY) throw new UsageError('Error: Cannot perform an interactive login from a non TTY device', 1);
  process.stderr.write(question);
  const { Writable } = await import('node:stream');
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  try {
    return (await lines.question('')).trim();
  } finally {
    lines.close();
    if (hidden) process.stderr.write('\n');
  }
}

function warn(text: string): void {
  process.stderr.write(`${text}\n`);
}
