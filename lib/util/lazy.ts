/**
 * Something that is made when it is first asked for, once: mostly a module, which few processes need. What failed is tried
 * again the next time.
 */
export function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return async () => {
    made ??= make();
    try {
      return await made;
    } catch (error) {
      made = undefined;
      throw error;
    }
  };
}
