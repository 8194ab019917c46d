// Compiled, not run: options that no call can mean do not compile.
import {
  ready,
  type Condition,
  type CreateContainerOptions,
  type Engine,
  type ErrorCode,
  isEngineError,
} from 'tscontainer';

export const fine: CreateContainerOptions = {
  image: 'web',
  ports: [80, { container: 443, hostIp: '127.0.0.1' }],
  mounts: [
    { type: 'bind', source: '/srv', target: '/srv', readOnly: true },
    { type: 'volume', source: 'data', target: '/data' },
    { type: 'tmpfs', target: '/tmp', sizeBytes: 1 << 20 },
  ],
  networks: ['bridge', { network: 'mine', aliases: ['db'] }],
  resources: { memoryBytes: 1 << 26, cpus: 1.5, maxProcesses: 100 },
};

// @ts-expect-error a container needs an image
export const noImage: CreateContainerOptions = { name: 'web' };
// @ts-expect-error sizes are numbers of bytes
export const textualSize: CreateContainerOptions = { image: 'web', resources: { memoryBytes: '64m' } };
// @ts-expect-error a bind has a source
export const noSource: Mount = { type: 'bind', target: '/tmp' };
// @ts-expect-error there are two lifetimes
export const forever: CreateContainerOptions = { image: 'web', lifetime: 'forever' };

/** A condition is a plain function. */
export const migrated: Condition = async (container, { signal }) => {
  await container.exec(['./migrate', 'status'], { signal });
};

export async function conditionsOfOnesOwn(engine: Engine): Promise<void> {
  await using web = await engine.launch('web');
  await web.waitFor([migrated, ready.port(80), ready.http('/', { port: 80, status: 200 })]);
  // @ts-expect-error a condition is a function
  await web.waitFor('healthy');
}

export function codeOf(error: unknown): ErrorCode | undefined {
  return isEngineError(error) ? error.code : undefined;
}
