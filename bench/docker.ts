import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';

/** A peer that speaks Docker's API on a Unix socket: Docker Engine itself, or podman's service. No CLI start-up in any figure. */
export class Docker {
  readonly name: string;
  readonly #socketPath: string;

  constructor(name: string, host: string) {
    this.name = name;
    this.#socketPath = host.replace(/^unix:\/\//, '');
  }

  /** Creates, starts, waits for and removes a container. */
  async run(
    image: string,
    command: readonly string[],
    options: { readonly networkMode?: string; readonly ports?: readonly number[] } = {},
  ): Promise<void> {
    const id = await this.create(image, command, options);
    await this.#call('POST', `/containers/${id}/start`);
    await this.#call('POST', `/containers/${id}/wait`);
    await this.#call('DELETE', `/containers/${id}`);
  }

  async create(
    image: string,
    command: readonly string[],
    options: { readonly networkMode?: string; readonly ports?: readonly number[] } = {},
  ): Promise<string> {
    const ports = options.ports ?? [];
    const body = {
      Image: image,
      Cmd: command,
      ExposedPorts: Object.fromEntries(ports.map(port => [`${port}/tcp`, {}])),
      HostConfig: {
        ...(options.networkMode === undefined ? {} : { NetworkMode: options.networkMode }),
        PortBindings: Object.fromEntries(ports.map(port => [`${port}/tcp`, [{ HostIp: '127.0.0.1', HostPort: '' }]])),
      },
    };
    const { Id } = (await this.#call('POST', '/containers/create', body)) as { Id: string };
    return Id;
  }

  async start(id: string): Promise<void> {
    await this.#call('POST', `/containers/${id}/start`);
  }

  async remove(id: string): Promise<void> {
    await this.#call('DELETE', `/containers/${id}?force=1`);
  }

  /** Runs a command in a container to its end. */
  async exec(id: string, command: readonly string[]): Promise<void> {
    const { Id } = (await this.#call('POST', `/containers/${id}/exec`, {
      Cmd: command,
      AttachStdout: true,
      AttachStderr: true,
    })) as { Id: string };
    await this.#call('POST', `/exec/${Id}/start`, {});
  }

  /** Unpacks an archive into a directory of a container. */
  async copyIn(id: string, path: string, archive: Buffer): Promise<void> {
    await this.#call('PUT', `/containers/${id}/archive?path=${encodeURIComponent(path)}`, archive);
  }

  /** Reads a directory of a container as an archive, and throws it away. */
  async copyOut(id: string, path: string): Promise<void> {
    const sent = request({
      socketPath: this.#socketPath,
      path: `/v1.40/containers/${id}/archive?path=${encodeURIComponent(path)}`,
    }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    if (answer.statusCode !== 200) throw new Error(`${this.name}: archive: ${answer.statusCode}`);
    answer.resume();
    await once(answer, 'end');
  }

  /** @returns The image's id. */
  async commit(id: string): Promise<string> {
    const { Id } = (await this.#call('POST', `/commit?container=${id}`, {})) as { Id: string };
    return Id;
  }

  async pull(ref: string): Promise<void> {
    const at = ref.lastIndexOf(':');
    const said = String(
      await this.#call(
        'POST',
        `/images/create?fromImage=${encodeURIComponent(ref.slice(0, at))}&tag=${ref.slice(at + 1)}`,
      ),
    );
    if (said.includes('"error"')) throw new Error(`${this.name}: pull ${ref}: ${said.slice(-300)}`);
  }

  async removeImage(ref: string): Promise<void> {
    await this.#call('DELETE', `/images/${encodeURIComponent(ref)}?force=1`);
  }

  async load(archive: Buffer): Promise<void> {
    await this.#call('POST', '/images/load', archive);
  }

  async tag(ref: string, repository: string, tag: string): Promise<void> {
    await this.#call('POST', `/images/${ref}/tag?repo=${encodeURIComponent(repository)}&tag=${tag}`);
  }

  async push(repository: string, tag: string): Promise<void> {
    const said = await this.#call('POST', `/images/${repository}/push?tag=${tag}`, undefined, {
      'x-registry-auth': Buffer.from('{}').toString('base64'),
    });
    if (String(said).includes('"error"')) throw new Error(`${this.name}: push: ${String(said).slice(-300)}`);
  }

  async version(): Promise<string> {
    const { Version } = (await this.#call('GET', '/version')) as { Version: string };
    return Version;
  }

  #call(method: string, path: string, body?: unknown, more: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const bytes = Buffer.isBuffer(body) ? body : body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const headers =
        bytes === undefined
          ? {}
          : {
              'content-type': Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json',
              'content-length': bytes.length,
            };
      const sent = request(
        { socketPath: this.#socketPath, method, path: `/v1.40${path}`, headers: { ...headers, ...more } },
        answer => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            if ((answer.statusCode ?? 500) >= 400)
              return reject(new Error(`${this.name}: ${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`));
            resolve(
              answer.headers['content-type']?.startsWith('application/json') === true && !text.includes('\n{')
                ? parse(text)
                : text,
            );
          });
          answer.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.end(bytes);
    });
  }
}

function parse(text: string): unknown {
  return text.trim() === '' ? undefined : JSON.parse(text);
}
