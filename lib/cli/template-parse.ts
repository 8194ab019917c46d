import { UsageError } from './usage-error.js';

/** A part of a Go template. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly pipe: Pipe;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** Commands; each gets the value of the one before as its last argument. */
export type Pipe = readonly (readonly Operand[])[];

export type Operand =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null }
  /** Fields, from the dot or, with `root`, from the whole. */
  | { readonly kind: 'path'; readonly fields: readonly string[]; readonly root: boolean }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe; readonly fields: readonly string[] };

/**
 * Reads the part of Go's text/template that people write for Docker: fields, pipes, functions, `if`, `range`, `with`.
 *
 * @throws {@link UsageError}
 */
export function parseTemplate(source: string): readonly Node[] {
  // Shells leave `\t` and `\n` as they are, and so people write them.
  const text = source.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  const reader = new BlockReader(text);
  const nodes = reader.block();
  if (reader.ending !== undefined) throw broken(`unexpected {{${reader.ending}}}`);
  return nodes;
}

/** What is said of a template that cannot be used. */
export function broken(reason: string): UsageError {
  return new UsageError(`template parsing error: ${reason}`, 64);
}

class BlockReader {
  readonly #text: string;
  #at = 0;
  /** The `end` or `else …` that the last block ended with. */
  ending: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  block(): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      const start = this.#text.indexOf('{{', this.#at);
      const plain = this.#text.slice(this.#at, start < 0 ? undefined : start);
      const trimLeft = start >= 0 && /^\{\{- /.test(this.#text.slice(start));
      if (plain !== '') nodes.push({ kind: 'text', text: trimLeft ? plain.trimEnd() : plain });
      if (start < 0) return this.#end(undefined, nodes);
      const action = this.#action(start);
      if (/^(end|else\b.*)$/s.test(action)) return this.#end(action, nodes);
      if (action.startsWith('/*')) continue;
      nodes.push(this.#node(action));
    }
  }

  #end(ending: string | undefined, nodes: Node[]): Node[] {
    this.ending = ending;
    return nodes;
  }

  #action(start: number): string {
    const end = this.#text.indexOf('}}', start);
    if (end < 0) throw broken('unclosed action');
    this.#at = end + 2;
    let action = this.#text.slice(start + 2, end);
    if (action.startsWith('- ')) action = action.slice(2);
    if (action.endsWith(' -')) {
      action = action.slice(0, -2);
      while (/\s/.test(this.#text.charAt(this.#at))) this.#at++;
    }
    return action.trim();
  }

  #node(action: string): Node {
    const [, kind, rest = ''] = /^(if|range|with)\s+(.*)$/s.exec(action) ?? [];
    if (kind === undefined) return { kind: 'print', pipe: parsePipe(action) };
    return this.#branch(kind as 'if' | 'range' | 'with', rest);
  }

  #branch(kind: 'if' | 'range' | 'with', condition: string): Node {
    const pipe = parsePipe(condition);
    const body = this.block();
    let otherwise: Node[] = [];
    const [, chained] = /^else\s+if\s+(.*)$/s.exec(this.ending ?? '') ?? [];
    if (chained !== undefined) return { kind, pipe, body, otherwise: [this.#branch('if', chained)] };
    if (this.ending === 'else') otherwise = this.block();
    if (this.ending !== 'end') throw broken(`{{${kind}}} without {{end}}`);
    return { kind, pipe, body, otherwise };
  }
}

const token =
  /\s*(?:("(?:[^"\\]|\\.)*")|`([^`]*)`|(-?\d+(?:\.\d+)?)|(\$?(?:\.[A-Za-z_][\w]*)+|\$|\.)|([A-Za-z]\w*)|([()|]))/y;

function parsePipe(text: string): Pipe {
  const words = new WordReader(text);
  const pipe = words.pipe();
  if (!words.done) throw broken(`unexpected ${JSON.stringify(words.rest)} in action`);
  return pipe;
}

class WordReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.trimEnd();
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#at).trim();
  }

  pipe(): Pipe {
    const commands: Operand[][] = [[]];
    while (!this.done) {
      if (this.rest.startsWith(')')) break;
      const next = this.#operand();
      if (next === '|') commands.push([]);
      else commands.at(-1)?.push(next);
    }
    if (commands.some(command => command.length === 0)) throw broken('missing value for command');
    return commands;
  }

  #operand(): Operand | '|' {
    token.lastIndex = this.#at;
    const match = token.exec(this.#text);
    if (match === null) throw broken(`unexpected ${JSON.stringify(this.rest)} in action`);
    this.#at = token.lastIndex;
    const [, quoted, raw, number, path, name, mark] = match;
    if (quoted !== undefined) return { kind: 'value', value: unquote(quoted) };
    if (raw !== undefined) return { kind: 'value', value: raw };
    if (number !== undefined) return { kind: 'value', value: Number(number) };
    if (path !== undefined) return { kind: 'path', fields: fieldsOf(path), root: path.startsWith('$') };
    if (name !== undefined) return named(name);
    return mark === '|' ? '|' : this.#parenthesis();
  }

  #parenthesis(): Operand {
    const pipe = this.pipe();
    const [closing, path = ''] = /^\s*\)((?:\.[A-Za-z_]\w*)*)/.exec(this.#text.slice(this.#at)) ?? [];
    if (closing === undefined) throw broken('unclosed left paren');
    this.#at += closing.length;
    return { kind: 'pipe', pipe, fields: fieldsOf(path) };
  }
}

function fieldsOf(path: string): string[] {
  return path.split('.').filter(field => field !== '' && field !== '$');
}

function named(name: string): Operand {
  if (name === 'true' || name === 'false') return { kind: 'value', value: name === 'true' };
  return name === 'nil' ? { kind: 'value', value: null } : { kind: 'function', name };
}

function unquote(quoted: string): string {
  try {
    return JSON.parse(quoted.replaceAll('\t', '\\t').replaceAll('\n', '\\n')) as string;
  } catch {
    throw broken(`invalid string ${quoted}`);
  }
}
