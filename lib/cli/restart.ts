import type { RestartPolicy } from '../container/options.js';
import { UsageError } from './usage-error.js';

/**
 * Reads Docker's notation of a restart policy: `always`, `on-failure:3`; empty is `no`.
 *
 * @throws {@link UsageError}
 */
export function parseRestart(text: string): RestartPolicy {
  const [, name = '', count] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  if (count !== undefined && !/^\d+$/.test(count))
    throw new UsageError('invalid restart policy format: maximum retry count must be an integer', 1);
  switch (name) {
    case 'on-failure':
      return count === undefined ? 'on-failure' : { onFailure: Number(count) };
    case '':
      if (text === '') return 'no';
      throw new UsageError('invalid restart policy format: no policy provided before colon', 1);
    case 'no':
    case 'always':
    case 'unless-stopped':
      if (count === undefined || Number(count) === 0) return name;
      throw new UsageError(`invalid restart policy: maximum retry count can only be used with 'on-failure'`, 1);
    default:
      throw new UsageError(
        `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
        1,
      );
  }
}
