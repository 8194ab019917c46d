import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Registry } from '../../lib/registry/registry.js';
import { needs } from '../support/needs.js';

const run = promisify(execFile);
const { describe, test } = needs('openssl');

describe('over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tscontainer-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  let server: Server;
  let host: string;
  let location = '';

  beforeAll(async () => {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key];
    await run('openssl', ['req', '-x509', ...newKey, '-out', cert, '-days', '2', ...subject]);
    server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
      if (location !== '') return void response.writeHead(307, { location }).end();
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end('{}');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
    rmSync(folder, { recursive: true });
  });

  test('a certificate that nobody vouches for is refused, with the way out', async () => {
    await using registry = new Registry(host, { insecure: false });
    await expect(registry.manifest('a', '1')).rejects.toMatchObject({
      code: 'CTR_NETWORK',
      message: expect.stringMatching(/not trusted \(\w+\)\. Point NODE_EXTRA_CA_CERTS at the authority/),
    });
  });

  test('a certificate of a trusted authority is accepted', async () => {
    expect(await pullTrusting(cert)).toMatch(/^sha256:44136fa355b3678a/);
  });

  test('a redirect to plain HTTP is refused', async () => {
    location = 'http://127.0.0.1:1/x';
    expect(await pullTrusting(cert)).toMatch(/redirected to 127\.0\.0\.1:1 by plain HTTP/);
    location = '';
  });

  /** Node reads its authorities when it starts. */
  async function pullTrusting(authority: string): Promise<string> {
    const module = new URL('../../lib/registry/registry.js', import.meta.url).href;
    const script = `
      const { Registry } = await import(${JSON.stringify(module)});
      const registry = new Registry(${JSON.stringify(host)}, { insecure: false });
      const told = await registry.manifest('a', '1').then(m => m.descriptor.digest, e => e.message);
      process.stdout.write(told);
      await registry.close();`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority, NODE_OPTIONS: '' };
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env });
    return stdout;
  }
});
