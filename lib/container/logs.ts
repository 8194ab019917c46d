import type { LogChunk, LogLine } from './options.js';

/** Before the time, the attributes and the text of a line, as `native/logs.c` writes it. */
const HEAD = 18;

/**
 * Reads a log line by line: see {@link readChunks}. An iterator by hand: a generator takes three turns for each line, and of
 * lines there are millions.
 */
export class LineReader implements AsyncIterableIterator<LogLine, void, undefined> {
  readonly #chunks: AsyncGenerator<LogChunk, void, undefined>;
  readonly #attributes = new Attributes();
  #stream: LogChunk['stream'] = 'stdout';
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** @param chunks - In the form that `lines` asks for. */
  constructor(chunks: AsyncGenerator<LogChunk, void, undefined>) {
    this.#chunks = chunks;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<LogLine, void>> {
    return this.#at < this.#bytes.length ? Promise.resolve({ done: false, value: this.#line() }) : this.#more();
  }

  async return(): Promise<IteratorResult<LogLine, void>> {
    this.#bytes = Buffer.alloc(0);
    await this.#chunks.return();
    return { done: true, value: undefined };
  }

  async #more(): Promise<IteratorResult<LogLine, void>> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return { done: true, value: undefined };
    this.#stream = value.stream;
    this.#bytes = value.bytes;
    this.#at = 0;
    return { done: false, value: this.#line() };
  }

  #line(): LogLine {
    const bytes = this.#bytes;
    const at = this.#at;
    const timeAt = at + HEAD;
    const attributesAt = timeAt + (bytes[at + 5] ?? 0);
    const textAt = attributesAt + bytes.readUInt32LE(at + 6);
    this.#at = textAt + bytes.readUInt32LE(at);
    const line: LogLine = {
      time: new Date(bytes.readDoubleLE(at + 10)),
      timestamp: bytes.toString('latin1', timeAt, attributesAt),
      stream: this.#stream,
      text: bytes.toString('utf8', textAt, this.#at),
      partial: bytes[at + 4] === 1,
    };
    if (attributesAt === textAt) return line;
    return { ...line, attributes: this.#attributes.parse(bytes.toString('utf8', attributesAt, textAt)) };
  }
}

/** Those of a container are nearly always the same. */
class Attributes {
  #text = '';
  #parsed: Readonly<Record<string, string>> = {};

  parse(text: string): Readonly<Record<string, string>> {
    if (text !== this.#text) {
      this.#parsed = Object.freeze(JSON.parse(text) as Record<string, string>);
      this.#text = text;
    }
    return this.#parsed;
  }
}
