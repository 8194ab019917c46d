import { serverKey } from '../../registry/docker-config.js';
import { logout as forget } from '../../registry/login.js';
import type { Invocation } from '../command.js';
import { print } from '../session.js';

/** `logout`. */
export async function logout({ args: [host = 'docker.io'] }: Invocation<Record<never, never>>): Promise<number> {
  print(`Removing login credentials for ${serverKey(host)}`);
  await forget(host);
  return 0;
}
