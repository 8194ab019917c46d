/** Runs `onAbort` when the signal fires, or at once if it has; the returned function takes the listener away. */
export function onAborted(signal: AbortSignal | undefined, onAbort: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    onAbort(signal.reason);
    return () => {};
  }
  const listener = (): void => onAbort(signal.reason);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/**
 * Waits for `promise`, but no longer than the signal allows: an abort rejects with its reason, unwrapped, and leaves no
 * listener. The work behind the promise goes on; use this only where there is nothing to stop.
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let off = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    off = onAborted(signal, reject);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    off();
  }
}

/** Waits, or rejects with the signal's reason. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await abortable(new Promise<void>(resolve => (timer = setTimeout(resolve, ms))), signal);
  } finally {
    clearTimeout(timer);
  }
}
