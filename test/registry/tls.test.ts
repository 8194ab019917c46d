import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { sha256 } from '../../lib/oci/digest.js';
import { Registry } from '../../lib/registry/registry.js';
import { RegistryServer } from '../../lib/registry/server/server.js';
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

  test('an authority in certs.d is trusted for its registry, and for no other', async () => {
    const certificates = join(folder, 'certs.d');
    mkdirSync(join(certificates, host), { recursive: true });
    copyFileSync(cert, join(certificates, host, 'ca.crt'));
    await using registry = new Registry(host, { insecure: false, certificates });
    expect((await registry.manifest('a', '1')).descriptor.digest).toMatch(/^sha256:44136fa355b3678a/);
    await using other = new Registry(host.replace('127.0.0.1', 'localhost'), { insecure: false, certificates });
    await expect(other.manifest('a', '1')).rejects.toMatchObject({ code: 'CTR_NETWORK' });
  });

  test('a key without its certificate, or the other way round, is told', async () => {
    const certificates = join(folder, 'half.d');
    mkdirSync(join(certificates, host), { recursive: true });
    copyFileSync(key, join(certificates, host, 'client.key'));
    await using registry = new Registry(host, { insecure: false, certificates });
    await expect(registry.manifest('a', '1')).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
      ref: join(certificates, host, 'client.cert'),
    });
  });

  test('a client certificate is shown to its registry', async () => {
    const certificates = join(folder, 'client.d');
    const shown: string[] = [];
    const options = { key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(cert), requestCert: true };
    const strict = createServer({ ...options, rejectUnauthorized: true }, (request, response) => {
      shown.push((request.socket as TLSSocket).getPeerCertificate().subject.CN as string);
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end('{}');
    });
    await once(strict.listen(0, '127.0.0.1'), 'listening');
    const there = `127.0.0.1:${(strict.address() as AddressInfo).port}`;
    mkdirSync(join(certificates, there), { recursive: true });
    copyFileSync(cert, join(certificates, there, 'ca.crt'));
    await using without = new Registry(there, { insecure: false, certificates, retries: 0 });
    await expect(without.manifest('a', '1')).rejects.toMatchObject({ code: 'CTR_NETWORK' });
    copyFileSync(cert, join(certificates, there, 'client.cert'));
    copyFileSync(key, join(certificates, there, 'client.key'));
    await using registry = new Registry(there, { insecure: false, certificates });
    await registry.manifest('a', '1');
    expect(shown).toEqual(['localhost']);
    strict.closeAllConnections();
    await once(strict.close(), 'close');
  });

  test('a registry that may be insecure is asked by TLS first, whoever signed its certificate', async () => {
    await using registry = new Registry(host, { insecure: true });
    expect((await registry.manifest('a', '1')).descriptor.digest).toMatch(/^sha256:44136fa355b3678a/);
    await using loopback = new Registry(host);
    await loopback.manifest('a', '1');
  });

  test('our server speaks it', async () => {
    const root = join(folder, 'served');
    await using own = new RegistryServer({ root, tls: { cert, key: readFileSync(key, 'utf8') } });
    const there = await own.listen();
    await using registry = new Registry(there, { insecure: true });
    await registry.putBlob('a', { mediaType: 'a/b', digest: sha256('x'), size: 1 }, Buffer.from('x'));
    expect(await registry.blobSize('a', sha256('x'))).toBe(1);
    await expect(fetch(`http://${there}/v2/`)).rejects.toThrow();
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
