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
});
