import { Readable } from 'node:stream';

import type { Connection } from '../host/helper.js';

/** Read ahead per stream before the process is held back, in bytes. */
const READ_AHEAD = 1 << 20;

/** Two streams on one conversation: when one is full, both wait, as the process would on a full pipe. */
export class Flow {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly #connection: Connection;
  readonly #full = new Set<Readable>();
  readonly #streams: readonly Readable[];
  #discarding = false;
  #isOver = false;
  #ended = false;
  /** What has come while something else has to come first. */
  #held: { readonly stream: Readable; readonly bytes: Buffer }[] | undefined;
  #room = (): void => {};

  /** @param merged - All of it goes to `stdout`, in the order in which it comes. */
  constructor(connection: Connection, merged: boolean) {
    this.#connection = connection;
    this.stdout = this.#readable();
    this.stderr = this.#readable();
    this.#streams = [this.stdout, this.stderr];
    connection.on('stdout', bytes => this.#live(this.stdout, bytes));
    connection.on('stderr', bytes => this.#live(merged ? this.stdout : this.stderr, bytes));
  }

  /** From now on what comes waits for {@link release}. */
  hold(): void {
    this.#held = [];
    this.#connection.pause();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { stream, bytes } of held) this.#push(stream, bytes);
    if (this.#isOver) this.end();
    else if (this.#full.size === 0) this.#connection.resume();
  }

  /** Puts something before what is held. Resolves when there is room for more. */
  async insert(stream: Readable, bytes: Buffer): Promise<void> {
    if (this.#discarding || stream.destroyed || stream.push(bytes)) return;
    this.#full.add(stream);
    await new Promise<void>(resolve => (this.#room = resolve));
  }

  /** Nobody will read any more; what comes is dropped, so that the end is seen. */
  discard(): void {
    this.#discarding = true;
    this.#held = undefined;
    this.#room();
    this.#connection.resume();
  }

  /** Nothing more comes; what does all the same is dropped. */
  end(): void {
    // What is held comes first, and before that what is being inserted.
    this.#isOver = true;
    if (this.#ended || this.#held !== undefined) return;
    this.#ended = true;
    for (const stream of this.#streams) stream.push(null);
    this.discard();
  }

  /** Standard output fails. The other one only ends: nobody need listen to both for one failure. */
  fail(error: Error): void {
    this.stdout.destroy(error);
    this.discard();
    this.end();
  }

  #readable(): Readable {
    const stream: Readable = new Readable({
      highWaterMark: READ_AHEAD,
      read: () => this.#wanted(stream),
    });
    return stream;
  }

  #wanted(stream: Readable): void {
    this.#full.delete(stream);
    if (this.#full.size > 0) return;
    this.#room();
    if (this.#held === undefined) this.#connection.resume();
  }

  #live(stream: Readable, bytes: Buffer): void {
    if (this.#held === undefined) this.#push(stream, bytes);
    else this.#held.push({ stream, bytes });
  }

  #push(stream: Readable, bytes: Buffer): void {
    if (this.#discarding || stream.destroyed || stream.push(bytes)) return;
    this.#full.add(stream);
    this.#connection.pause();
  }
}
