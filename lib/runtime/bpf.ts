import { LimitError } from '../errors.js';

// Classic BPF as seccomp has it; the kernel's include/uapi/linux/bpf_common.h and seccomp.h.
const LOAD = 0x20; // A = 32-bit word of struct seccomp_data at k
const AND = 0x54; // A &= k
const RETURN = 0x06;
const JUMP = 0x05;
const jumps = { eq: 0x15, gt: 0x25, ge: 0x35 } as const;
const MAXIMUM = 4096;

interface Instruction {
  readonly code: number;
  readonly onTrue: number;
  readonly onFalse: number;
  readonly k: number;
}

/** A place in the program, counted from its end. */
export type Label = number;

/**
 * Writes a program from its end to its start. Jumps only lead forwards, so that way every target is known when a jump is
 * written, and a jump that would be longer than its 8 bits gets a stepping stone right behind itself.
 */
export class Assembler {
  readonly #reversed: Instruction[] = [];
  readonly #returns = new Map<number, Label>();

  /** What is executed when the instruction written next falls through. */
  get top(): Label {
    return this.#reversed.length - 1;
  }

  /** Ends with a verdict; one that is near is used again. */
  return(verdict: number): Label {
    const known = this.#returns.get(verdict);
    if (known !== undefined && this.#distance(known) < 200) return known;
    const label = this.#push(RETURN, 0, 0, verdict);
    this.#returns.set(verdict, label);
    return label;
  }

  /** Loads the word at `offset`, then goes on at `next`. */
  load(offset: number, next: Label): Label {
    this.#fallThrough(next);
    return this.#push(LOAD, 0, 0, offset);
  }

  /** Masks what was loaded, then goes on at `next`. */
  and(mask: number, next: Label): Label {
    this.#fallThrough(next);
    return this.#push(AND, 0, 0, mask);
  }

  /** Compares what was loaded, unsigned. */
  jump(condition: keyof typeof jumps, k: number, onTrue: Label, onFalse: Label): Label {
    const no = this.#near(onFalse);
    const yes = this.#near(onTrue);
    return this.#push(jumps[condition], this.#distance(yes), this.#distance(no), k);
  }

  /**
   * The program as `struct sock_filter[]`, little endian; it starts with what was written last.
   *
   * @throws {@link LimitError} when it is longer than the kernel takes.
   */
  finish(call: string): Buffer {
    const length = this.#reversed.length;
    if (length > MAXIMUM) {
      throw new LimitError({
        call,
        what: 'seccomp',
        reason: `the profile needs ${length} instructions, the kernel takes ${MAXIMUM}`,
        limit: MAXIMUM,
      });
    }
    const program = Buffer.allocUnsafe(length * 8);
    let at = 0;
    for (let index = length - 1; index >= 0; index--) {
      const { code, onTrue, onFalse, k } = this.#reversed[index] as Instruction;
      at = program.writeUInt16LE(code, at);
      at = program.writeUInt8(onTrue, at);
      at = program.writeUInt8(onFalse, at);
      at = program.writeUInt32LE(k, at);
    }
    return program;
  }

  #distance(label: Label): number {
    return this.top - label;
  }

  /** The label itself, or a stepping stone to it. 253 leaves room for the stone of the other branch. */
  #near(label: Label): Label {
    if (this.#distance(label) <= 253) return label;
    const target = this.#reversed[label] as Instruction;
    return target.code === RETURN ? this.return(target.k) : this.#push(JUMP, 0, 0, this.#distance(label));
  }

  #fallThrough(next: Label): void {
    if (next !== this.top) this.#push(JUMP, 0, 0, this.#distance(next));
  }

  #push(code: number, onTrue: number, onFalse: number, k: number): Label {
    this.#reversed.push({ code, onTrue, onFalse, k });
    return this.top;
  }
}
