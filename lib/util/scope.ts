type Undo = () => void | Promise<void>;

/**
 * An undo stack: each step of a creation registers its reversal before the next step begins. Leaving the block without
 * {@link Scope.keep} undoes everything, last first. A reversal that fails is reported to `onError` and the others still run.
 */
export class Scope implements AsyncDisposable {
  readonly #undos: Undo[] = [];
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void = () => {}) {
    this.#onError = onError;
  }

  /** Registers a reversal. */
  defer(undo: Undo): void {
    this.#undos.push(undo);
  }

  /** Does a step and registers how to reverse it. */
  async use<T>(step: T | Promise<T>, undo: (value: T) => void | Promise<void>): Promise<T> {
    const value = await step;
    this.defer(() => undo(value));
    return value;
  }

  /** Everything worked: nothing will be undone. */
  keep(): void {
    this.#undos.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo();
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
