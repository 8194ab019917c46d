import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';

import {
  ConflictError,
  ExitError,
  IntegrityError,
  InvalidStateError,
  LimitError,
  NetworkError,
  NotFoundError,
  ParseError,
  RateLimitError,
  RegistryError,
  StartError,
  SyscallError,
  UnsupportedError,
  type EngineError,
  type ErrorCode,
} from '../lib/errors.js';
import { filesBelow, projectFiles, projectRoot, readProjectFile } from './support/sources.js';

const pages = projectFiles().filter(path => path.endsWith('.md') && !path.startsWith('docs/api/'));

const url = new URL('https://ghcr.io/v2/acme/app/manifests/1');
const result = {
  command: ['sh', '-c', 'exit 3'],
  exitCode: 3,
  signal: undefined,
  oomKilled: false,
  durationMs: 1,
  stdout: '',
  stderr: '',
  truncated: false,
};

/** One error of each code, as docs/errors.md quotes it. */
const examples: Readonly<Record<Exclude<ErrorCode, 'CTR_BUILD'>, EngineError>> = {
  CTR_NOT_FOUND: new NotFoundError({ call: 'containers.get', kind: 'container', ref: 'web' }),
  CTR_CONFLICT: new ConflictError({
    call: 'containers.create',
    kind: 'container',
    ref: 'web',
    reason: 'the name is in use by container 4f66ad9a0b2e',
    remedy: 'Remove that container, or choose another name',
  }),
  CTR_INVALID_STATE: new InvalidStateError({
    call: 'container.exec',
    kind: 'container',
    ref: 'web',
    state: 'exited',
    expected: ['running'],
  }),
  CTR_PARSE: new ParseError({
    call: 'images.pull',
    source: 'Nginx',
    reason: 'the repository has capital letters',
    remedy: 'Write it in lower case: nginx',
  }),
  CTR_INTEGRITY: new IntegrityError({
    call: 'images.pull',
    what: 'blob sha256:aaaa',
    expected: '1024 bytes',
    actual: '1000 bytes',
  }),
  CTR_REGISTRY: new RegistryError({
    call: 'images.pull',
    status: 503,
    method: 'GET',
    url,
    reason: 'the registry failed (503)',
    remedy: 'Try again later',
  }),
  CTR_UNAUTHORIZED: new RegistryError({
    call: 'images.pull',
    status: 401,
    method: 'GET',
    url,
    reason: 'the registry refused anonymous access (401)',
    remedy: 'Pass credentials, or log in with docker login ghcr.io',
  }),
  CTR_RATE_LIMIT: new RateLimitError({
    call: 'images.pull',
    status: 429,
    method: 'GET',
    url: new URL('https://registry-1.docker.io/v2/library/alpine/manifests/3'),
    reason: 'the registry asks us to slow down (429 TOOMANYREQUESTS)',
    remedy: 'Try again in 3600 s; docker login may raise the limit',
    limit: 100,
    remaining: 0,
    windowMs: 21_600_000,
  }),
  CTR_NETWORK: new NetworkError({
    call: 'images.pull',
    address: 'registry.acme.test:443',
    reason: 'the connection was refused',
    remedy: 'Is a registry listening there?',
  }),
  CTR_LIMIT: new LimitError({
    call: 'images.pull',
    what: 'manifest of ghcr.io/acme/app:1',
    reason: 'is larger than 4194304 bytes',
    limit: 4_194_304,
  }),
  CTR_EXIT: new ExitError('engine.run', result),
  CTR_START: new StartError({
    call: 'container.exec',
    ref: 'web',
    reason: 'exec "psql": executable file not found in $PATH',
    exitCode: 127,
    command: ['psql'],
  }),
  CTR_SYSCALL: new SyscallError({
    call: 'containers.launch',
    stage: 'namespaces',
    syscall: 'clone',
    errno: 'EPERM',
    remedy:
      'The kernel or a security module refuses it to this user: `npx tscontainer doctor` says what would be needed',
  }),
  CTR_UNSUPPORTED: new UnsupportedError({
    call: 'networks.create',
    feature: 'bridge',
    reason: 'making a bridge needs CAP_NET_ADMIN. Run as root',
  }),
};

describe('docs/errors.md', () => {
  const text = readProjectFile('docs/errors.md');
  const sections = new Map(
    text
      .split(/^## /m)
      .slice(1)
      .map(section => [section.split('\n')[0]?.trim() ?? '', section]),
  );

  test('has a heading for every code, and for nothing else', () => {
    const codes = [...readProjectFile('lib/errors.ts').matchAll(/^ {2}\| '(CTR_[A-Z_]+)'/gm)].map(match => match[1]);
    expect(codes.length).toBeGreaterThan(10);
    expect([...sections.keys()].sort()).toEqual([...codes].sort());
  });

  test.each(Object.entries(examples))('%s: class, fields, message and remedy are told', (code, error) => {
    const section = sections.get(code) ?? '';
    expect(error.code).toBe(code);
    expect(section).toContain(`\`${error.name}\``);
    expect(section).toContain(`\n> ${error.message}\n`);
    expect(section).toContain('\n**Remedy.**');
    const fields = Object.keys(error).filter(field => field !== 'code');
    // A page that refers to another code's section for the fields says so.
    const missing = fields.filter(
      field =>
        !section.includes(`\`${field}\``) &&
        !section.includes('with the same fields') &&
        field !== 'line' &&
        field !== 'column',
    );
    expect(missing).toEqual([]);
  });
});

describe('the pages', () => {
  test('every internal link leads somewhere', () => {
    const broken = pages.flatMap(page =>
      [...withoutCode(readProjectFile(page)).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(match => match[1] ?? '')
        .filter(link => !/^[a-z]+:/.test(link) && !leads(page, link))
        .map(link => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test('every decision is in the list of decisions', () => {
    const decisions = filesBelow('docs/adr', '.md').filter(path => /\/\d{4}-/.test(path));
    const index = readProjectFile('docs/adr/README.md');
    expect(decisions.filter(path => !index.includes(`(${path.slice('docs/adr/'.length)})`))).toEqual([]);
  });

  test('every folder of lib has its row in the architecture table', () => {
    const text = readProjectFile('docs/architecture.md');
    const folders = [...new Set(filesBelow('lib', '.ts').map(path => path.split('/')[1] ?? ''))].filter(
      name => !name.endsWith('.ts'),
    );
    expect(folders.filter(name => !text.includes(`\`${name}/\``) && !new RegExp(`\\b${name}\\b`).test(text))).toEqual(
      [],
    );
  });

  test('every ts block compiles', () => {
    const blocks = pages.flatMap(page =>
      [...readProjectFile(page).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match, index) => ({
        name: `${page}#${index + 1}`,
        text: match[1] ?? '',
      })),
    );
    expect(blocks.length).toBeGreaterThan(3);
    expect(compile(blocks)).toEqual([]);
  }, 120_000);
});

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
}

function leads(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const file = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(projectRoot, file))) return false;
  return anchor === undefined || !file.endsWith('.md') || anchorsOf(file).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): string[] {
  return [...withoutFences(readProjectFile(page)).matchAll(/^#+ (.*)$/gm)].map(match =>
    (match[1] ?? '')
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '');
}

/** Each block as a module of its own at the top of the project, so that `tscontainer` is what a user would get. */
function compile(blocks: readonly { readonly name: string; readonly text: string }[]): string[] {
  const { config } = ts.readConfigFile(join(projectRoot, 'tsconfig.json'), path => ts.sys.readFile(path)) as {
    config: object;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, projectRoot);
  const virtual = new Map(
    blocks.map(({ text }, index) => [join(projectRoot, `block-${index}.ts`), `${text}\nexport {};\n`]),
  );
  const settings: ts.CompilerOptions = {
    ...options,
    noEmit: true,
    incremental: false,
    noUnusedLocals: false,
    declaration: false,
  };
  delete settings.tsBuildInfoFile;
  const host = ts.createCompilerHost(settings);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = path => virtual.get(path) ?? readFile.call(host, path);
  host.fileExists = path => virtual.has(path) || fileExists.call(host, path);
  host.getSourceFile = (path, target, ...rest) => {
    const text = virtual.get(path);
    return text === undefined
      ? getSourceFile.call(host, path, target, ...rest)
      : ts.createSourceFile(path, text, target);
  };
  const program = ts.createProgram([...virtual.keys()], settings, host);
  return [...virtual.keys()].flatMap((path, index) => {
    const source = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(each => {
      const line = each.file === undefined ? 0 : each.file.getLineAndCharacterOfPosition(each.start ?? 0).line + 1;
      return `${blocks[index]?.name} line ${line}: ${ts.flattenDiagnosticMessageText(each.messageText, ' ')}`;
    });
  });
}
