import { spawn } from 'node:child_process';

import { SyscallError, UnsupportedError, errorCode } from '../errors.js';

/**
 * Runs the `nft` program and returns what it printed.
 *
 * @param script - For its standard input.
 * @throws {@link UnsupportedError} when there is none; {@link SyscallError} with its complaint when it refuses.
 */
export async function runNft(args: readonly string[], script = ''): Promise<string> {
  const child = spawn('nft', args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // sbin is not in everybody's path.
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
  let complaint = '';
  let answer = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (answer += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  child.stdin.on('error', () => {}); // It ended early: its status says why.
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', error => {
      if (!['ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) return reject(error);
      const reason = 'there is no nft program. Install it (Debian: apt-get install nftables)';
      reject(new UnsupportedError({ call: 'networks.create', feature: 'masquerade', reason }));
    });
    child.on('close', resolve);
  });
  if (code === 0) return answer;
  throw new SyscallError({
    call: 'networks.create',
    stage: 'nft',
    syscall: 'nft',
    errno: `status ${code}`,
    path: complaint.trim(),
  });
}
