import { posix } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import {
  filesBelow,
  projectFiles,
  readProjectFile,
  readSource,
  type Import,
  type SourceFile,
} from './support/sources.js';

/** docs/architecture.md has the same table for people. A folder or file of `lib/`, from the bottom up. */
const LAYERS: readonly (readonly string[])[] = [
  ['util', 'errors', 'types'],
  ['oci', 'archive'],
  ['host', 'registry'],
  ['store'],
  ['image', 'runtime', 'network', 'volume'],
  ['container', 'build'],
  ['compose'],
  ['engine'],
  ['api', 'cli'],
  ['index'],
];

/** The one place, or few, to touch when a dependency is swapped. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  undici: ['registry'],
  bcryptjs: ['registry'],
  execa: ['host'],
  tar: ['archive', 'build'],
  fzstd: ['archive'],
  'fs-extra': ['store', 'image', 'volume', 'container', 'build'],
  'dns-packet': ['network'],
  eventemitter3: ['engine', 'host'],
};

/** Beyond this many lines a file has usually found a second noun. C says less per line. */
const LINES = { '.ts': 450, '.c': 650, '.h': 150 } as const;

/** Modules that `import 'tscontainer'` may load. Fewer is better; this may only go down. */
const MOST_LOADED = 115;

const sources = filesBelow('lib', '.ts').map(readSource);

/** `lib/store/gc.ts` is of `store`, `lib/engine.ts` is `engine`. */
function memberOf(path: string): string {
  const [, first = ''] = path.split('/');
  return first.replace(/\.ts$/, '');
}

function layerOf(member: string): number {
  return LAYERS.findIndex(layer => layer.includes(member));
}

function isOurs({ specifier }: Import): boolean {
  return specifier.startsWith('.');
}

function target(source: SourceFile, { specifier }: Import): string {
  return posix.normalize(posix.join(posix.dirname(source.path), specifier)).replace(/\.js$/, '.ts');
}

/** Every import for which `wrong` has an answer, as `file:line answer`. */
function complaints(wrong: (source: SourceFile, each: Import) => string | undefined, files = sources): string[] {
  return files.flatMap(source =>
    source.imports.flatMap(each => {
      const answer = wrong(source, each);
      return answer === undefined ? [] : [`${source.path}:${each.line} ${answer}`];
    }),
  );
}

describe('the layers', () => {
  test('every folder of lib has its place', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect([...new Set(sources.map(({ path }) => memberOf(path)))].filter(member => layerOf(member) < 0)).toEqual([]);
  });

  test('imports go strictly downwards, and folders of one layer do not know each other', () => {
    const wrong = complaints((source, each) => {
      if (!isOurs(each)) return undefined;
      const [from, to] = [memberOf(source.path), memberOf(target(source, each))];
      if (from === to || layerOf(from) > layerOf(to)) return undefined;
      // The errors carry types and the types carry errors: two files, one thing.
      if (layerOf(from) === 0 && each.typeOnly) return undefined;
      if (from === 'util' && (to === 'errors' || to === 'types')) return undefined;
      return `${from} must not import ${to}`;
    });
    expect(wrong).toEqual([]);
  });

  test('no import leaves lib', () => {
    expect(
      complaints((source, each) =>
        isOurs(each) && !target(source, each).startsWith('lib/') ? each.specifier : undefined,
      ),
    ).toEqual([]);
  });

  test('only the entry point re-exports', () => {
    const wrong = sources
      .filter(({ path }) => path !== 'lib/index.ts')
      .filter(({ text }) => /^export (type )?\*/m.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('no import at run time comes back to where it started', () => {
    expect(cycles(sources)).toEqual([]);
  });
});

describe('what is loaded', () => {
  test('an import of the package loads what every process needs, and no more', () => {
    const loaded = loadedBy('lib/index.ts');
    if (loaded.length <= MOST_LOADED) return;
    throw new Error(
      `import 'tscontainer' loads ${loaded.length} modules, and ${MOST_LOADED} is the most: each takes 0.4 ms of every process, ` +
        "of 120 ms that there are to import it and to open an engine. Load what few processes need with `await import('…')` " +
        `in the method that needs it, and import types as types. Loaded are:\n${loaded.join('\n')}`,
    );
  });
});

describe('the dependencies', () => {
  test('each stays in its home', () => {
    const wrong = complaints((source, each) => {
      if (isOurs(each) || each.specifier.startsWith('node:')) return undefined;
      const homes = HOMES[packageOf(each.specifier)];
      if (homes === undefined)
        return `${each.specifier} has no home: name one in test/architecture.test.ts and say in the commit why it is needed`;
      return homes.includes(memberOf(source.path)) ? undefined : `${each.specifier} lives in ${homes.join(', ')}`;
    });
    expect(wrong).toEqual([]);
  });

  test('each is named in package.json, with an exact version', () => {
    const { dependencies, devDependencies } = JSON.parse(readProjectFile('package.json')) as Record<
      'dependencies' | 'devDependencies',
      Record<string, string>
    >;
    expect(Object.keys(dependencies).filter(name => HOMES[name] === undefined)).toEqual([]);
    expect(
      Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)),
    ).toEqual([]);
  });

  test('examples use what users have: the package and node', () => {
    const examples = filesBelow('examples', '.ts').map(readSource);
    const wrong = complaints(
      (_, { specifier }) => (specifier === 'tscontainer' || specifier.startsWith('node:') ? undefined : specifier),
      examples,
    );
    expect(wrong).toEqual([]);
  });
});

describe('the text', () => {
  test('no any', () => {
    expect(sources.flatMap(({ path, anys }) => anys.map(line => `${path}:${line}`))).toEqual([]);
  });

  test('no file has outgrown its noun', () => {
    const long = [...filesBelow('lib', '.ts'), ...filesBelow('native', '.c'), ...filesBelow('native', '.h')]
      .map(path => ({ path, lines: readProjectFile(path).split('\n').length - 1 }))
      .filter(({ path, lines }) => lines > LINES[posix.extname(path) as keyof typeof LINES]);
    expect(long).toEqual([]);
  });

  test('nothing names a machine that only its author has', () => {
    // Put together here, or this file would be the first to be found.
    const marks = [`/${'work'}/`, `..${'/shared'}`].map(mark => new RegExp(`(^|[\\s"'\`(=:])${escapeRegExp(mark)}`));
    const found = projectFiles()
      .filter(path => /\.(ts|js|mjs|json|c|h|md|sh|yml|yaml)$|^\.ci\//.test(path) && path !== 'package-lock.json')
      .flatMap(path =>
        readProjectFile(path)
          .split('\n')
          .flatMap((line, index) =>
            marks.some(mark => mark.test(line)) ? [`${path}:${index + 1} ${line.trim().slice(0, 120)}`] : [],
          ),
      );
    expect(found).toEqual([]);
  });
});

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** All modules of ours that come with this one, whatever is called. */
function loadedBy(path: string): string[] {
  const byPath = new Map(sources.map(source => [source.path, source]));
  const seen = new Set<string>();
  const visit = (source: SourceFile | undefined): void => {
    if (source === undefined || seen.has(source.path)) return;
    seen.add(source.path);
    for (const each of source.imports)
      if (isOurs(each) && !each.typeOnly && !each.lazy) visit(byPath.get(target(source, each)));
  };
  visit(byPath.get(path));
  return [...seen].sort();
}

/** Every way round, once, as `a -> b -> a`. */
function cycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map(source => [
      source.path,
      source.imports.filter(each => isOurs(each) && !each.typeOnly).map(each => target(source, each)),
    ]),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}
