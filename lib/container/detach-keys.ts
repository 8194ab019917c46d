/**
 * Reads a sequence of keys in Docker's notation: `ctrl-p,ctrl-q`, `a,b`, `ctrl-@`.
 *
 * @throws `TypeError` for what is no key.
 */
export function parseDetachKeys(text: string, call: string): Buffer {
  return Buffer.from(text.split(',').map(key => keyCode(key, text, call)));
}

function keyCode(key: string, text: string, call: string): number {
  if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
  const [, control] = /^ctrl-([a-z@[\\\]^_])$/i.exec(key) ?? [];
  if (control === undefined) throw new TypeError(`${call}: invalid detach keys (${text}): Unknown character: '${key}'`);
  return control.toUpperCase().charCodeAt(0) - 64;
}

/** Tells the keys that mean to leave from those that are for the process. Such that only might be their beginning wait for the next. */
export class KeyFilter {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What of a chunk is to be passed on, and whether the user left; what comes after that is nobody's. */
  take(chunk: Uint8Array): { readonly passed: Buffer; readonly left: boolean } {
    const passed: number[] = [];
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        if (++this.#matched < this.#keys.length) continue;
        return { passed: Buffer.from(passed), left: true };
      }
      passed.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = 0;
      if (byte === this.#keys[0] && this.#keys.length > 1) this.#matched = 1;
      else passed.push(byte);
    }
    return { passed: Buffer.from(passed), left: false };
  }
}
