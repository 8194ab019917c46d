import { accessSync, constants } from 'node:fs';

/** Whether this process may write there, as access(2) says. */
export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false; // Not there, read-only or not ours: in each case it cannot be written.
  }
}
