/**
 * Node 20 has no `SuppressedError`; TypeScript then makes an error that says nothing. This one says what failed first,
 * in the block, and what failed after that, when the block was left. Loaded by jest before every test file.
 */
class Suppressed extends Error {
  readonly error: unknown;
  readonly suppressed: unknown;

  constructor(error: unknown, suppressed: unknown) {
    super(`${textOf(suppressed)}\n\nand then, on leaving the block: ${textOf(error)}`);
    this.name = 'SuppressedError';
    this.error = error;
    this.suppressed = suppressed;
    this.stack = `${this.message}\n${stackOf(suppressed)}`;
  }
}

function textOf(error: unknown): string {
  return (error as Partial<Error> | undefined)?.message ?? String(error);
}

function stackOf(error: unknown): string {
  const lines = (error as Partial<Error> | undefined)?.stack?.split('\n') ?? [];
  return lines.filter(line => /^\s+at /.test(line)).join('\n');
}

if (!('SuppressedError' in globalThis)) Object.assign(globalThis, { SuppressedError: Suppressed });

export {};
