import { once } from 'node:events';
import { connect } from 'node:net';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Place } from '../support/engine.js';
import { nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { Cli, said } from './cli.js';

const { describe, test } = needs('root');

const server = "require('net').createServer(s => s.end('hello')).listen(80, () => console.log('listening'))";

let place: Place;
let cli: Cli;

describe('networks on the command line', () => {
  beforeAll(async () => {
    place = new Place();
    const engine = await place.open();
    await (await nodeImage(engine)).tag('node:1');
    cli = new Cli(place);
  });

  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  test('are created, joined, listed, inspected and removed', async () => {
    const id = await cli.get('network', 'create', '--internal', '--label', 'a=b', 'own');
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await cli.get('network', 'ls', '--format', '{{.ID}} {{.Name}} {{.Driver}}', '-f', 'label=a')).toBe(
      `${id.slice(0, 12)} own bridge`,
    );
    const container = await cli.get('run', '-d', '--rm', '--network', 'own', 'node:1', 'node', '-e', server);
    const ip = await cli.get('inspect', '-f', '{{.NetworkSettings.Networks.own.IPAddress}}', container);
    expect(ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(
      await cli.get('network', 'inspect', '-f', `{{(index .Containers "${container}").IPv4Address}}`, 'own'),
    ).toMatch(new RegExp(`^${ip}/\\d+$`));
    expect(await cli.run('network', 'rm', 'own')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('1 container runs on it'),
    });
    await cli.get('rm', '-f', container);
    expect(await cli.get('network', 'rm', 'own')).toBe('own');
  });

  test('a published port is told, and leads inside', async () => {
    const child = cli.start('run', '--rm', '--name', 'web', '-p', '127.0.0.1::80', 'node:1', 'node', '-e', server);
    await said(child, 'listening');
    const address = await cli.get('port', 'web', '80');
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await cli.get('port', 'web')).toBe(`80/tcp -> ${address}`);
    expect(await cli.get('ps', '--format', '{{.Ports}}')).toBe(`${address}->80/tcp`);
    expect(await cli.run('port', 'web', '81')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no such port: web:81/tcp'),
    });
    const [host, port] = address.split(':') as [string, string];
    const socket = connect(Number(port), host);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toBe('hello');
    socket.destroy();
    await cli.get('kill', 'web');
    expect(await once(child, 'exit')).toEqual([137, null]);
  });

  test("have settings, are joined and left by a running container, and are told in Docker's words", async () => {
    await cli.get(
      ...[
        'network',
        'create',
        '--subnet',
        '10.214.0.0/24',
        '--subnet',
        'fd00:214::/64',
        '--ip-range',
        '10.214.0.128/25',
      ],
      ...['--aux-address', 'printer=10.214.0.128', '-o', 'com.docker.network.driver.mtu=1400', 'set'],
    );
    const [told] = JSON.parse(await cli.get('network', 'inspect', 'set')) as Record<string, unknown>[];
    expect(told).toMatchObject({
      EnableIPv6: true,
      IPAM: {
        Driver: 'default',
        Config: [
          {
            Subnet: '10.214.0.0/24',
            IPRange: '10.214.0.128/25',
            Gateway: '10.214.0.1',
            AuxiliaryAddresses: { printer: '10.214.0.128' },
          },
          { Subnet: 'fd00:214::/64', Gateway: 'fd00:214::1' },
        ],
      },
      Options: { 'com.docker.network.driver.mtu': '1400' },
    });
    const container = await cli.get('run', '-d', '--rm', 'node:1', 'node', '-e', server);
    await cli.get('network', 'connect', '--alias', 'x', '--ip', '10.214.0.200', 'set', container);
    expect(await cli.get('network', 'inspect', '-f', `{{(index .Containers "${container}").IPv4Address}}`, 'set')).toBe(
      '10.214.0.200/24',
    );
    expect(await cli.get('exec', container, 'cat', '/sys/class/net/eth1/mtu')).toBe('1400');
    await cli.get('network', 'disconnect', 'set', container);
    await cli.get('network', 'disconnect', '-f', 'set', container);
    expect((await cli.run('network', 'disconnect', 'set', container)).exitCode).toBe(1);
    await cli.get('rm', '-f', container);
    await cli.get('network', 'rm', 'set');
    expect(await cli.run('network', 'create', '-o', 'magic=1', 'bad')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('network option "magic" is not supported'),
    });
  });
});
