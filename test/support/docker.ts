import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A container as `POST /containers/create` takes it; only what tests use has a type. */
export interface DockerCreate {
  readonly Image: string;
  readonly Cmd?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Env?: readonly string[];
  readonly HostConfig?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** What a process wrote, apart. With a terminal all of it is `stdout`. */
export interface DockerOutput {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** The part of `GET /containers/{id}/json` that tests look at. */
export interface DockerContainer {
  readonly Id: string;
  readonly Image: string;
  readonly LogPath: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly Error: string;
  };
  readonly Config: Readonly<Record<string, unknown>> & { readonly Hostname: string };
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
}

/** The engine said no: its status, and what it said. */
export class DockerError extends Error {
  constructor(
    readonly status: number,
    readonly said: string,
    what: string,
  ) {
    super(`${what}: ${status}: ${said}`);
  }
}

/** A Docker Engine by its API on a Unix socket: for tests inside `needs('docker')`, to compare with. */
export class Docker {
  readonly #socketPath: string;

  /** @param host - `unix:///path`. Default: the one that `TSC_TEST_DOCKER_HOST` names. */
  constructor(host = process.env['TSC_TEST_DOCKER_HOST'] ?? '') {
    if (!host.startsWith('unix:///'))
      throw new Error(`expected unix:///path, got ${JSON.stringify(host)}: put the test inside needs('docker')`);
    this.#socketPath = host.slice('unix://'.length);
  }

  /** The first number of its version: 20, 28. */
  async majorVersion(): Promise<number> {
    const { Version } = (await this.#json('GET', '/version')) as { Version: string };
    return Number.parseInt(Version, 10);
  }

  /** `docker load`. What it said, one JSON object per line. */
  async load(archive: Uint8Array): Promise<string> {
    const response = await this.#send('POST', '/images/load?quiet=1', archive, 'application/x-tar');
    const said = (await buffer(response)).toString('utf8');
    if (said.includes('"error"')) throw new DockerError(500, said, 'POST /images/load');
    return said;
  }

  /** `docker image inspect`. */
  async inspectImage(ref: string): Promise<Record<string, unknown>> {
    return (await this.#json('GET', `/images/${ref}/json`)) as Record<string, unknown>;
  }

  /** `docker rmi --force`. */
  async removeImage(ref: string): Promise<void> {
    await this.#json('DELETE', `/images/${ref}?force=1`);
  }

  /** `docker create`. */
  async create(options: DockerCreate): Promise<string> {
    const { Id } = (await this.#json('POST', '/containers/create', options)) as { Id: string };
    return Id;
  }

  /** `docker start`. */
  async start(id: string): Promise<void> {
    await this.#json('POST', `/containers/${id}/start`);
  }

  /** `docker wait`: the exit code. */
  async wait(id: string): Promise<number> {
    const { StatusCode } = (await this.#json('POST', `/containers/${id}/wait`)) as { StatusCode: number };
    return StatusCode;
  }

  /** `docker stop --time SECONDS`. */
  async stop(id: string, seconds: number): Promise<void> {
    await this.#json('POST', `/containers/${id}/stop?t=${seconds}`);
  }

  /** `docker kill --signal SIGNAL`. */
  async kill(id: string, signal: string): Promise<void> {
    await this.#json('POST', `/containers/${id}/kill?signal=${signal}`);
  }

  /** `docker inspect`. */
  async inspect(id: string): Promise<DockerContainer> {
    return (await this.#json('GET', `/containers/${id}/json`)) as DockerContainer;
  }

  /** `docker rm --force --volumes`. */
  async remove(id: string): Promise<void> {
    await this.#json('DELETE', `/containers/${id}?force=1&v=1`);
  }

  /** `docker logs`, up to now; with `follow`, to the end. */
  async logs(id: string, options: { readonly tty?: boolean; readonly follow?: boolean } = {}): Promise<DockerOutput> {
    const query = `stdout=1&stderr=1&follow=${options.follow === true ? 1 : 0}`;
    const bytes = await buffer(await this.#send('GET', `/containers/${id}/logs?${query}`));
    return options.tty === true ? { stdout: bytes, stderr: Buffer.alloc(0) } : demultiplex(bytes);
  }

  /** Waits until the log has a line that contains `text`. */
  async waitForLog(id: string, text: string): Promise<void> {
    const response = await this.#send('GET', `/containers/${id}/logs?stdout=1&follow=1`);
    let seen = '';
    for await (const chunk of response as AsyncIterable<Buffer>)
      if ((seen += chunk.toString('latin1')).includes(text)) break;
    response.destroy();
    if (!seen.includes(text)) throw new Error(`docker logs ${id.slice(0, 12)}: ended without ${JSON.stringify(text)}`);
  }

  /** `docker attach`, before the start: `input` is written, then closed, and all output read to its end. */
  async attach(
    id: string,
    input: Uint8Array | string | undefined,
    start: () => Promise<void>,
    options: { readonly tty?: boolean } = {},
  ): Promise<DockerOutput> {
    const query = `stream=1&stdout=1&stderr=1&stdin=${input === undefined ? 0 : 1}`;
    const { socket, head } = await this.#upgrade(`/containers/${id}/attach?${query}`);
    const chunks = [head];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise<void>((resolve, reject) => socket.once('close', resolve).once('error', reject));
    await start();
    // A terminal has no end of file to pass on: what is written to it says when it is over.
    if (input !== undefined && options.tty === true) socket.write(input);
    else if (input !== undefined) socket.end(input);
    await ended;
    const bytes = Buffer.concat(chunks);
    return options.tty === true ? { stdout: bytes, stderr: Buffer.alloc(0) } : demultiplex(bytes);
  }

  /** `docker exec`, to its end. */
  async exec(
    id: string,
    command: readonly string[],
    options: Readonly<Record<string, unknown>> = {},
  ): Promise<DockerOutput & { readonly exitCode: number }> {
    const create = { Cmd: command, AttachStdout: true, AttachStderr: true, ...options };
    const { Id } = (await this.#json('POST', `/containers/${id}/exec`, create)) as { Id: string };
    const tty = options['Tty'] === true;
    const bytes = await buffer(
      await this.#send('POST', `/exec/${Id}/start`, JSON.stringify({ Detach: false, Tty: tty })),
    );
    const { ExitCode } = (await this.#json('GET', `/exec/${Id}/json`)) as { ExitCode: number };
    return { ...(tty ? { stdout: bytes, stderr: Buffer.alloc(0) } : demultiplex(bytes)), exitCode: ExitCode };
  }

  async #json(method: string, path: string, body?: object): Promise<unknown> {
    const response = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
    const text = (await buffer(response)).toString('utf8');
    return text.trim() === '' ? undefined : JSON.parse(text);
  }

  async #send(
    method: string,
    path: string,
    body?: Uint8Array | string,
    type = 'application/json',
  ): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) };
      request({ socketPath: this.#socketPath, method, path: `${path}`, headers, agent: false }, resolve)
        .on('error', reject)
        .end(body);
    });
    const status = response.statusCode ?? 0;
    if (status >= 400)
      throw new DockerError(status, (await buffer(response)).toString('utf8').trim(), `${method} ${path}`);
    return response;
  }

  async #upgrade(path: string): Promise<{ socket: Socket; head: Buffer }> {
    const headers = { connection: 'Upgrade', upgrade: 'tcp' };
    return new Promise((resolve, reject) => {
      request({ socketPath: this.#socketPath, method: 'POST', path: `${path}`, headers, agent: false })
        .on('upgrade', (_response, socket, head) => resolve({ socket, head }))
        .on('response', response => reject(new DockerError(response.statusCode ?? 0, '', `POST ${path}`)))
        .on('error', reject)
        .end();
    });
  }
}

/** Takes apart what the engine writes without a terminal: stream, three zeros, length, bytes. */
function demultiplex(bytes: Buffer): DockerOutput {
  const streams: [Buffer[], Buffer[]] = [[], []];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at + 4);
    streams[bytes[at] === 2 ? 1 : 0].push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: Buffer.concat(streams[0]), stderr: Buffer.concat(streams[1]) };
}
