import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

/** Where the project is. This file runs as `dist/test/support/sources.js`. */
export const projectRoot = fileURLToPath(new URL('../../../', import.meta.url));

/** One module that another one names, and how. */
export interface Import {
  readonly specifier: string;
  /** Erased by the compiler: it makes no edge at run time. */
  readonly typeOnly: boolean;
  /** With `import()`: only when that is reached. */
  readonly lazy: boolean;
  readonly line: number;
}

/** A TypeScript file of the project. */
export interface SourceFile {
  /** Relative to the project, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** Lines on which the type `any` is written. */
  readonly anys: readonly number[];
}

/** All files below a folder of the project that end so, as project paths. */
export function filesBelow(folder: string, ending: string): string[] {
  const top = join(projectRoot, folder);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(ending))
    .map(entry => relative(projectRoot, join(entry.parentPath, entry.name)))
    .sort();
}

/** Files that are, or are about to be, committed. Without git (in a tarball) everything that is not generated. */
export function projectFiles(): string[] {
  if (existsSync(join(projectRoot, '.git'))) {
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: projectRoot,
      encoding: 'utf8',
    });
    return listed.split('\0').filter(path => path !== '' && existsSync(join(projectRoot, path)));
  }
  return ['.ci', 'bench', 'docs', 'examples', 'lib', 'native', 'test']
    .flatMap(folder => filesBelow(folder, ''))
    .filter(path => !path.startsWith('native/out/') && !path.startsWith('docs/api/'));
}

/** A file of the project as text. */
export function readProjectFile(path: string): string {
  return readFileSync(join(projectRoot, path), 'utf8');
}

/** Reads and takes apart a TypeScript file. */
export function readSource(path: string): SourceFile {
  const text = readProjectFile(path);
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const imports: Import[] = [];
  const anys: number[] = [];
  const lineOf = (node: ts.Node): number => tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
  const visit = (node: ts.Node): void => {
    const found = importOf(node);
    if (found !== undefined) imports.push({ ...found, line: lineOf(node) });
    if (node.kind === ts.SyntaxKind.AnyKeyword) anys.push(lineOf(node));
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { path, text, imports, anys };
}

function importOf(node: ts.Node): Omit<Import, 'line'> | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: isTypeOnly(node.importClause), lazy: false };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: isTypeOnlyExport(node), lazy: false };
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return { specifier: node.argument.literal.text, typeOnly: true, lazy: false };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    if (argument !== undefined && ts.isStringLiteral(argument))
      return { specifier: argument.text, typeOnly: false, lazy: true };
  }
  return undefined;
}

function isTypeOnlyExport({ isTypeOnly: all, exportClause }: ts.ExportDeclaration): boolean {
  if (all || exportClause === undefined || !ts.isNamedExports(exportClause)) return all;
  return exportClause.elements.length > 0 && exportClause.elements.every(element => element.isTypeOnly);
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false; // `import 'x'` runs it.
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { namedBindings } = clause;
  if (clause.name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every(element => element.isTypeOnly);
}
