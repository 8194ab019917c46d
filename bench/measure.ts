/** Milliseconds of one call. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** The median of `rounds` calls, in milliseconds, after `warm` that do not count. */
export async function median(
  rounds: number,
  work: () => Promise<unknown>,
  warm = Math.min(5, rounds),
): Promise<number> {
  for (let round = 0; round < warm; round++) await work();
  const all: number[] = [];
  for (let round = 0; round < rounds; round++) all.push(await timed(work));
  return middle(all);
}

/** The median of numbers. */
export function middle(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[at] ?? NaN) : ((sorted[at - 1] ?? NaN) + (sorted[at] ?? NaN)) / 2;
}

/** Calls in flight at once; how many were done per second. */
export async function perSecond(calls: number, atOnce: number, work: () => Promise<unknown>): Promise<number> {
  let left = calls;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left-- > 0) await work();
    }),
  );
  return calls / ((performance.now() - begun) / 1000);
}
