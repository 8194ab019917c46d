import { readSmall } from '../host/small-files.js';
import { sleep } from '../util/abort.js';
import { POLL_MS, describe, type Condition } from './ready-condition.js';

/** Something inside listens on the port: read from the container's own tables, so nothing is needed in the image. */
export function portCondition(port: number, protocol: 'tcp' | 'udp'): Condition {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new TypeError(`ready.port: expected a port, 1 to 65535, got ${String(port)}`);
  return describe(async (container, { signal }) => {
    for (;;) {
      const { pid } = await container.inspect({ signal });
      if (pid !== undefined && listens(pid, port, protocol)) return;
      await sleep(POLL_MS, signal);
    }
  }, `a listener on ${port}/${protocol}`);
}

/** Of TCP, 0A is LISTEN; of UDP, 07 is a socket that is bound and takes from anybody. */
const states = { tcp: '0A', udp: '07' } as const;

/** Whether anything in the network namespace of a process listens on a port. */
export function listens(pid: number, port: number, protocol: 'tcp' | 'udp'): boolean {
  // sl local_address rem_address st …: address and port in hexadecimal.
  const wanted = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 ${states[protocol]} `,
    'm',
  );
  return [protocol, `${protocol}6`].some(table => wanted.test(readSmall(`/proc/${pid}/net/${table}`) ?? ''));
}
