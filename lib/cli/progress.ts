import type { PushProgress } from '../image/push.js';
import type { Digest, TransferProgress } from '../types.js';
import { humanSize } from './units.js';

const BAR = 25;
/** The terminal is drawn at most this often, in milliseconds. */
const FRAME_MS = 50;

interface Line {
  readonly id: string;
  text: string;
  done: boolean;
}

/**
 * Progress of layers. On a terminal one line for each, drawn over as it moves; elsewhere a line when a layer is done, so
 * that a log of it can be read.
 */
export class TransferLines {
  readonly #output: NodeJS.WriteStream;
  readonly #verb: string;
  readonly #lines = new Map<Digest, Line>();
  #drawn = 0;
  #drawnAt = 0;

  /** @param verb - `Pull`, for `Pull complete`. */
  constructor(output: NodeJS.WriteStream, verb: string) {
    this.#output = output;
    this.#verb = verb;
  }

  /** Tells of a transfer until its end. Returns the digest of what the reference named. */
  async show(progress: AsyncIterable<TransferProgress>): Promise<Digest | undefined> {
    let resolved: Digest | undefined;
    try {
      for await (const step of progress) {
        if (step.kind === 'resolve' && !('diffId' in step)) resolved ??= step.digest;
        else this.#update(step);
      }
    } finally {
      this.#draw(true);
    }
    return resolved;
  }

  #update(step: TransferProgress): void {
    let line = this.#lines.get(step.digest);
    if (line === undefined) {
      // What is pushed Docker calls by what is in it, what is pulled by how it comes.
      const { diffId = step.digest } = step as Partial<PushProgress>;
      line = { id: diffId.slice(7, 19), text: '', done: false };
      this.#lines.set(step.digest, line);
    }
    if (line.done) return;
    line.text = this.#describe(step);
    line.done = step.kind === 'done' || step.kind === 'exists' || step.kind === 'mounted';
    if (this.#output.isTTY) this.#draw(line.done);
    else if (line.done || step.kind === 'resolve') this.#output.write(`${line.id}: ${line.text}\n`);
  }

  #describe(step: TransferProgress): string {
    const { kind, bytes, totalBytes } = step;
    if ('diffId' in step) return describePush(step as PushProgress);
    switch (kind) {
      case 'download':
        return `Downloading ${bar(bytes, totalBytes)}`;
      case 'upload':
        return `Pushing ${bar(bytes, totalBytes)}`;
      case 'unpack':
        return `Extracting ${bar(bytes, totalBytes)}`;
      case 'exists':
      case 'mounted':
        return 'Already exists';
      case 'resolve':
        return 'Pulling fs layer';
      case 'done':
        return `${this.#verb} complete`;
    }
  }

  #draw(now: boolean): void {
    if (!this.#output.isTTY || (!now && Date.now() - this.#drawnAt < FRAME_MS)) return;
    const { columns, rows } = this.#output;
    // Lines that have left the screen at the top cannot be drawn over.
    const visible = [...this.#lines.values()].slice(-(rows - 1));
    const up = Math.min(this.#drawn, visible.length);
    const text = visible.map(({ id, text }) => `\x1b[2K${`${id}: ${text}`.slice(0, columns - 1)}\n`).join('');
    this.#output.write(`${up > 0 ? `\x1b[${up}A\r` : ''}${text}`);
    this.#drawn = visible.length;
    this.#drawnAt = Date.now();
  }
}

function describePush({ kind, bytes, totalBytes, from }: PushProgress): string {
  switch (kind) {
    case 'exists':
      return 'Layer already exists';
    case 'mounted':
      return `Mounted from ${from}`;
    case 'done':
      return 'Pushed';
    case 'upload':
      return `Pushing ${bar(bytes, totalBytes)}`;
    default:
      return 'Preparing';
  }
}

/** `[======>        ]  1.2MB/4.5MB`, or only how much, where the end is not known. */
function bar(bytes: number, totalBytes: number | undefined): string {
  if (totalBytes === undefined || totalBytes === 0) return humanSize(bytes);
  const filled = Math.min(BAR, Math.floor((bytes / totalBytes) * BAR));
  const drawn = filled === BAR ? '='.repeat(BAR) : `${'='.repeat(filled)}>`.padEnd(BAR);
  return `[${drawn}]  ${humanSize(bytes)}/${humanSize(totalBytes)}`;
}
