/**
 * The command line cannot be understood. Worded as Docker's CLI does, because people and scripts know those words; so it
 * is none of the library's errors, which speak of calls.
 */
export class UsageError extends Error {
  /** What the process exits with: 125 for a flag, 1 for the rest, as Docker. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 125) {
    super(message);
    this.name = 'UsageError';
    this.exitCode = exitCode;
  }
}
