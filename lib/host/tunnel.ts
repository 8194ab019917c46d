import { connect, type Socket } from 'node:net';

import { SyscallError } from '../errors.js';
import { onAborted } from '../util/abort.js';
import type { Fact } from './job.js';
import { Plan } from './plan.js';

const HEADER = 5;
const OP = 4;
/** The monitor's one answer is short. */
const ANSWER_MAX = 4096;

/** Where to, and for whom. */
export interface TunnelOptions {
  /** The monitor's socket. */
  readonly socketPath: string;
  readonly port: number;
  /** Addresses inside, tried in this order. */
  readonly addresses: readonly string[];
  /** The user's call, for error messages. */
  readonly call: string;
  /** What it leads to, for error messages. */
  readonly ref: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A connection through a container's monitor to a port inside: from the monitor's answer on, the bytes are that port's.
 *
 * @throws {@link SyscallError} with what connect(2) said inside: ECONNREFUSED where nobody listens.
 */
export function openTunnel(options: TunnelOptions): Promise<Socket> {
  const { socketPath, port, addresses, signal } = options;
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath });
    let answer = Buffer.alloc(0);
    const settle = (): void => {
      off();
      for (const event of ['readable', 'error', 'close']) socket.removeAllListeners(event);
    };
    const fail = (errno: string, reason?: unknown): void => {
      settle();
      socket.on('error', () => {}); // Whatever comes of it now, it is given up.
      socket.destroy();
      reject((reason as Error | undefined) ?? refused(options, errno));
    };
    const off = onAborted(signal, () => fail('', signal?.reason));
    socket.on('error', error => fail((error as NodeJS.ErrnoException).code ?? 'EPIPE'));
    socket.on('close', () => fail('EPIPE'));
    // Not by `data`: what flows once cannot be handed on without losing some of it.
    socket.on('readable', () => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      answer = Buffer.concat([answer, bytes]);
      if (answer.length < HEADER) return;
      const end = HEADER + answer.readUInt32LE(1);
      if (end > ANSWER_MAX) return fail('EPROTO');
      if (answer.length < end) return;
      const fact = JSON.parse(answer.subarray(HEADER, end).toString('utf8')) as Fact;
      if (fact.fact !== 'connected') return fail(String(fact['errno'] ?? 'EPROTO'));
      settle();
      // Whoever is inside may have spoken first.
      if (answer.length > end) socket.unshift(answer.subarray(end));
      resolve(socket);
    });
    const body = new Plan().op('dial', port, ...addresses).encodeBody();
    const header = Buffer.alloc(HEADER);
    header.writeUInt8(OP, 0);
    header.writeUInt32LE(body.length, 1);
    socket.write(Buffer.concat([header, body]));
  });
}

function refused({ call, ref }: TunnelOptions, errno: string): SyscallError {
  const nobody = errno === 'ECONNREFUSED';
  return new SyscallError({
    call,
    stage: 'dial',
    syscall: 'connect',
    errno,
    path: ref,
    ...(nobody ? { remedy: 'Nothing inside listens there yet: wait for it with waitFor(ready.port(…))' } : {}),
  });
}
