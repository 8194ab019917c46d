import { parseTemplate, type Node, type Operand, type Pipe } from './template-parse.js';
import { UsageError } from './usage-error.js';

/** A Go template as Docker's `--format` takes it. */
export class Template {
  readonly #nodes: readonly Node[];

  /** @throws {@link UsageError} when it is malformed. */
  constructor(source: string) {
    this.#nodes = parseTemplate(source);
  }

  /** @throws {@link UsageError} when it asks for something that is not there. */
  render(data: unknown): string {
    return renderAll(this.#nodes, { dot: data, root: data });
  }
}

interface Scope {
  readonly dot: unknown;
  readonly root: unknown;
}

function renderAll(nodes: readonly Node[], scope: Scope): string {
  return nodes.map(node => renderNode(node, scope)).join('');
}

function renderNode(node: Node, scope: Scope): string {
  switch (node.kind) {
    case 'text':
      return node.text;
    case 'print':
      return show(evaluate(node.pipe, scope));
    case 'if':
      return renderAll(isTrue(evaluate(node.pipe, scope)) ? node.body : node.otherwise, scope);
    case 'with': {
      const dot = evaluate(node.pipe, scope);
      return isTrue(dot) ? renderAll(node.body, { ...scope, dot }) : renderAll(node.otherwise, scope);
    }
    case 'range': {
      const items = itemsOf(evaluate(node.pipe, scope));
      return items.length === 0
        ? renderAll(node.otherwise, scope)
        : items.map(dot => renderAll(node.body, { ...scope, dot })).join('');
    }
  }
}

function evaluate(pipe: Pipe, scope: Scope): unknown {
  let value: unknown;
  pipe.forEach((command, index) => {
    const [first, ...rest] = command as readonly [Operand, ...Operand[]];
    const given = [...rest.map(operand => resolve(operand, scope)), ...(index === 0 ? [] : [value])];
    if (first.kind === 'function') value = call(first.name, given);
    else {
      const found = resolve(first, scope);
      // A method: `{{.Label "name"}}`.
      if (typeof found === 'function') value = (found as (...given: readonly unknown[]) => unknown)(...given);
      else if (given.length === 0) value = found;
      else throw failed('only a function takes arguments');
    }
  });
  return value;
}

function resolve(operand: Operand, scope: Scope): unknown {
  switch (operand.kind) {
    case 'value':
      return operand.value;
    case 'path':
      return walk(operand.root ? scope.root : scope.dot, operand.fields);
    case 'pipe':
      return walk(evaluate(operand.pipe, scope), operand.fields);
    case 'function':
      return call(operand.name, []);
  }
}

function walk(start: unknown, fields: readonly string[]): unknown {
  return fields.reduce((value: unknown, field) => {
    const object = value as Readonly<Record<string, unknown>> | null | undefined;
    if (typeof object === 'object' && object !== null && Object.hasOwn(object, field)) return object[field];
    // Docker's own fields begin with a capital; other names are keys of a map, and a map may lack them.
    if (/^[A-Z]/.test(field)) throw failed(`can't evaluate field ${field}`);
    return undefined;
  }, start);
}

const functions: Readonly<Record<string, (...given: readonly unknown[]) => unknown>> = {
  json: value => JSON.stringify(value ?? null),
  join: (items, separator = '') => itemsOf(items).map(show).join(show(separator)),
  split: (value, separator) => show(value).split(show(separator)),
  lower: value => show(value).toLowerCase(),
  upper: value => show(value).toUpperCase(),
  title: value => show(value).replace(/\b\w/g, letter => letter.toUpperCase()),
  truncate: (value, length) => show(value).slice(0, Number(length)),
  println: (...values) => `${values.map(show).join(' ')}\n`,
  print: (...values) => values.map(show).join(''),
  len: value => (typeof value === 'string' ? value.length : itemsOf(value).length),
  index: (value, ...keys) =>
    keys.reduce((found, key) => (found as Readonly<Record<string, unknown>> | null | undefined)?.[show(key)], value),
  eq: (first, ...others) => others.some(other => first === other),
  ne: (a, b) => a !== b,
  not: value => !isTrue(value),
  and: (...values) => values.find(value => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
};

function call(name: string, given: readonly unknown[]): unknown {
  const found = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (found === undefined) throw failed(`function "${name}" not defined`);
  return found(...given);
}

function itemsOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  if (value === null || value === undefined) return [];
  if (typeof value === 'object') return entriesOf(value).map(([, item]) => item);
  throw failed(`range can't iterate over ${show(value)}`);
}

function entriesOf(value: object): [string, unknown][] {
  return Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
}

function isTrue(value: unknown): boolean {
  if (typeof value === 'object' && value !== null)
    return (Array.isArray(value) ? value : Object.keys(value)).length > 0;
  return Boolean(value);
}

/** As Go prints values. */
function show(value: unknown): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  if (typeof value === 'object')
    return `map[${entriesOf(value)
      .map(([key, item]) => `${key}:${show(item)}`)
      .join(' ')}]`;
  return String(value as string | number | boolean);
}

function failed(reason: string): UsageError {
  return new UsageError(`template parsing error: ${reason}`, 1);
}
