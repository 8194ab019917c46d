import { ConflictError, NotFoundError, ParseError, type EngineError } from '../errors.js';
import { toSyscallError, type Fact } from './job.js';

/** Finds the right word for what the helper could not do on files. */
export function explainFiles(call: string): (fact: Fact) => EngineError {
  return fact => {
    const [stage, errno] = [fact['stage'], String(fact['errno'] ?? '')];
    const [path, reason] = [String(fact['path'] ?? ''), String(fact['reason'] ?? '')];
    if (stage === 'archive-replace') return new ConflictError({ call, kind: 'file', ref: path, reason, usedBy: [] });
    if (reason !== '')
      return new ParseError({ call, source: path === '' ? 'the archive' : `the archive: ${path}`, reason });
    if ((stage === 'extract-open' || stage === 'archive-open') && errno === 'ENOENT') {
      return new NotFoundError({ call, kind: 'file', ref: path });
    }
    return toSyscallError(call, fact, remedies[errno]);
  };
}

const remedies: Readonly<Record<string, string>> = {
  EROFS: "The file system there, or the container's root, is read-only",
  EBUSY: 'Something is mounted there: write to it instead of replacing it',
  ENOSPC: 'The disk is full',
};
