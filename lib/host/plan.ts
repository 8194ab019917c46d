/** What a field of an op may be: text, a number (sent as decimal text) or raw bytes. */
export type PlanField = string | number | Uint8Array;

/**
 * What the helper is to carry out: a flat list of ops, already validated. The wire format is described in
 * `native/wire.h`: an op is a field count and fields, a field is a length, its bytes and one NUL.
 */
export class Plan {
  readonly #parts: Buffer[] = [];
  #length = 0;

  /** Appends one op. Text must not contain NUL, since it would end there in C. */
  op(name: string, ...fields: readonly PlanField[]): this {
    const all = [name, ...fields].map(field => (typeof field === 'number' ? String(field) : field));
    const sizes = all.map(field => (typeof field === 'string' ? Buffer.byteLength(field) : field.length));
    const buffer = Buffer.allocUnsafe(2 + sizes.reduce((sum, size) => sum + size + 5, 0));
    let at = buffer.writeUInt16LE(all.length, 0);
    for (const [index, field] of all.entries()) {
      const size = sizes[index] ?? 0;
      at = buffer.writeUInt32LE(size, at);
      if (typeof field === 'string') {
        if (field.includes('\0'))
          throw new TypeError(`plan ${name}: a field contains a NUL byte: ${JSON.stringify(field)}`);
        buffer.write(field, at);
      } else {
        buffer.set(field, at);
      }
      at = buffer.writeUInt8(0, at + size);
    }
    this.#parts.push(buffer);
    this.#length += buffer.length;
    return this;
  }

  /** The ops alone, as in a frame. */
  encodeBody(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }

  /** The ops behind their length, as the helper reads a plan. */
  encode(): Buffer {
    const header = Buffer.allocUnsafe(4);
    header.writeUInt32LE(this.#length, 0);
    return Buffer.concat([header, ...this.#parts], this.#length + 4);
  }
}
