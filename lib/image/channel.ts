/** Held until the reader takes it; more makes the writer wait. Two inflate chunks' worth. */
const ROOM = 2 << 20;

/**
 * A bounded push-to-iterable for one writer and one reader, so that a download can feed its file and its extraction at
 * once. A reader that leaves does not stop the writer: what it pushes from then on is dropped.
 */
export class Channel implements AsyncIterable<Uint8Array> {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #left = false;
  #failure: { readonly error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** Resolves when there is room for more. */
  async push(chunk: Uint8Array): Promise<void> {
    if (this.#left) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#wakeReader?.();
    while (this.#bytes > ROOM && !this.#left) await new Promise<void>(resolve => (this.#wakeWriter = resolve));
  }

  /** Nothing more will come. */
  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  /** The reader gets this error after what is already here. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.end();
  }

  /** The reader will not come back: the writer waits for it no longer. */
  leave(): void {
    this.#left = true;
    this.#chunks = [];
    this.#bytes = 0;
    this.#wakeWriter?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunks = this.#chunks;
        this.#chunks = [];
        for (const chunk of chunks) {
          this.#bytes -= chunk.length;
          this.#wakeWriter?.();
          yield chunk;
        }
        if (this.#chunks.length > 0) continue;
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#ended) return;
        await new Promise<void>(resolve => (this.#wakeReader = resolve));
      }
    } finally {
      this.leave();
    }
  }
}
