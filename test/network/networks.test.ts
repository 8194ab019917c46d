import { describe, expect } from '@jest/globals';

import type { Attachment } from '../../lib/network/attach.js';
import type { NetworkInfo } from '../../lib/network/network.js';
import { needs } from '../support/needs.js';
import { askCommand, Machine } from './machine.js';

const { test } = needs('root', 'nft', 'ip');

const devices = 'ip -j link | grep -o \'"ifname":"tsc[^"]*"\' | sort | tr -d \'\\n\'';
const tables = 'nft list tables | grep tscontainer | sort || true';

describe('a network', () => {
  test('has a bridge and rules from its creation until it is removed', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    const info = await engine.call<NetworkInfo>('create', { name: 'web', labels: { tier: 'front' } });
    expect(info).toMatchObject({
      name: 'web',
      subnet: '172.17.0.0/16',
      gateway: '172.17.0.1',
      internal: false,
      labels: { tier: 'front' },
    });
    expect(await machine.run(`ip -br -4 addr show ${info.device}`)).toContain('172.17.0.1/16');
    expect(await machine.run(tables)).toBe(`table inet tscontainer-${info.device}\n`);
    expect(await engine.call('events')).toMatchObject([{ type: 'network:create', name: 'web', id: info.id }]);
    await engine.call('remove', 'web');
    expect(await machine.run(devices)).toBe('');
    expect(await machine.run(tables)).toBe('');
    expect(await engine.call('events')).toMatchObject([{ type: 'network:remove', name: 'web', id: info.id }]);
    await expect(engine.call('get', 'web')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('is found by its name, its id, and the start of its id', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    const { id } = await engine.call<NetworkInfo>('create', { name: 'web' });
    for (const ref of ['web', id, id.slice(0, 12)]) expect(await engine.call('get', ref)).toMatchObject({ id });
  });

  test('goes with its handle', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    const { id } = await engine.call<NetworkInfo>('create', {});
    await engine.call('dispose', id);
    await engine.call('dispose', id);
    expect(await machine.run(devices)).toBe('');
    expect(await engine.call('events')).toMatchObject([{ type: 'network:create' }, { type: 'network:remove' }]);
  });

  test('is not removed while a container runs on it', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('create', { name: 'web' });
    await engine.call('attach', 'c1', [{ network: 'web' }]);
    await expect(engine.call('remove', 'web')).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: ['c1'] });
    await engine.call('release', 'c1');
    await engine.call('remove', 'web');
  });

  test('keeps away from what the host uses, and from other networks', async () => {
    await using machine = await Machine.start();
    await machine.run('ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0');
    await machine.run('ip link add wan type bridge && ip link set wan up && ip route add 172.18.4.0/24 dev wan');
    const engine = await machine.engine();
    expect(await engine.call('create', { name: 'n1' })).toMatchObject({ subnet: '172.19.0.0/16' });
    expect(await engine.call('create', { name: 'n2' })).toMatchObject({ subnet: '172.20.0.0/16' });
    await expect(engine.call('create', { name: 'n3', subnet: '172.17.8.0/24' })).rejects.toMatchObject({
      code: 'CTR_CONFLICT',
      message: expect.stringContaining('172.17.0.1/16 on docker0') as unknown,
    });
    await expect(engine.call('create', { name: 'n3', subnet: '172.20.8.0/24' })).rejects.toMatchObject({
      code: 'CTR_CONFLICT',
      usedBy: ['n2'],
    });
    expect(await engine.call('list', {})).toEqual(['n1', 'n2']);
  });

  test('gives its name to one only, whoever asks first', async () => {
    await using machine = await Machine.start();
    const engines = [await machine.engine(), await machine.engine()];
    const results = await Promise.allSettled(engines.map(engine => engine.call('create', { name: 'web' })));
    expect(results.map(result => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find(result => result.status === 'rejected')?.reason).toMatchObject({ code: 'CTR_CONFLICT' });
    expect((await machine.run(devices)).match(/ifname/g)).toHaveLength(1);
  });

  test.each([
    [{ name: 'host' }, 'CTR_CONFLICT'],
    [{ name: 'bridge' }, 'CTR_CONFLICT'],
    [{ name: 'a b' }, 'CTR_PARSE'],
    [{ name: 'x1', subnet: '10.0.0.1/24' }, 'CTR_PARSE'],
    [{ name: 'x1', subnet: '10.0.0.0/31' }, 'CTR_PARSE'],
    [{ name: 'x1', subnet: '10.0.0.0/24', gateway: '10.0.1.1' }, 'CTR_PARSE'],
    [{ name: 'x1', subnet: '10.0.0.0/24', range: '10.0.1.0/25' }, 'CTR_PARSE'],
  ])('refuses %j and leaves nothing', async (options, code) => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await expect(engine.call('create', options)).rejects.toMatchObject({ code });
    expect(await engine.call('list', {})).toEqual([]);
    expect(await machine.run(devices)).toBe('');
  });
});

describe('the default network', () => {
  test('is made when it is first asked for, and once by two processes at once', async () => {
    await using machine = await Machine.start();
    const engines = [await machine.engine(), await machine.engine()];
    const lists = await Promise.all(
      engines.map((engine, i) => engine.call<string[]>('attachMany', `c${i}-`, 50, 'bridge')),
    );
    expect(new Set(lists.flat()).size).toBe(100);
    expect(await engines[0]?.call('list', {})).toEqual(['bridge']);
    await expect(engines[0]?.call('remove', 'bridge')).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
  });

  test('keeps its bridge until the last engine closes, and gets it back when it is needed again', async () => {
    await using machine = await Machine.start();
    const engines = [await machine.engine(), await machine.engine()] as const;
    for (const engine of engines) {
      await engine.call('attach', 'c', [{ network: 'bridge' }]);
      await engine.call('release', 'c');
    }
    await engines[0].call('close');
    expect(await machine.run(devices)).not.toBe('');
    await engines[1].call('close');
    expect(await machine.run(devices)).toBe('');
    expect(await machine.run(tables)).toBe('');
    await engines[0].call('attach', 'c', [{ network: 'bridge' }]);
    expect(await machine.run(devices)).not.toBe('');
  });

  test('keeps its bridge for a container that outlives its engine', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('attach', 'detached', [{ network: 'bridge' }]);
    await engine.call('close');
    await engine.end();
    const next = await machine.engine();
    await next.call('running', 'detached');
    await next.call('sweep');
    expect(await machine.run(devices)).not.toBe('');
    expect(await next.call('get', 'bridge')).toMatchObject({ containers: { detached: '172.17.0.2' } });
  });

  test('moves to another subnet when the host has come to use its own', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('attach', 'c', [{ network: 'bridge' }]);
    await engine.call('release', 'c');
    await engine.call('close');
    await machine.run('ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0');
    const { endpoints } = await engine.call<Attachment>('attach', 'c', [{ network: 'bridge' }]);
    expect(endpoints).toMatchObject([{ ip: '172.18.0.2', gateway: '172.18.0.1' }]);
    expect(await machine.run('nft list ruleset')).toContain('ip saddr 172.18.0.0/16');
  });
});

describe('what a killed process leaves', () => {
  test('goes with the next sweep: bridge, rules, addresses and networks without a name', async () => {
    await using machine = await Machine.start();
    const killed = await machine.engine();
    await killed.call('create', {});
    await killed.call('create', { name: 'kept' });
    await killed.call('attach', 'c1', [{ network: 'bridge' }, { network: 'kept' }]);
    await killed.kill();
    const engine = await machine.engine();
    await engine.call('sweep');
    expect(await machine.run(devices)).toBe('');
    expect(await machine.run(tables)).toBe('');
    expect(await engine.call('list', {})).toEqual(['bridge', 'kept']);
    expect(await engine.call('get', 'kept')).toMatchObject({ containers: {} });
  });

  test('goes also when it was killed while it put the bridge up', async () => {
    await using machine = await Machine.start();
    const killed = await machine.engine();
    const { id } = await killed.call<NetworkInfo>('create', { name: 'web' });
    await killed.kill();
    await machine.run(`rm ${machine.path}/run/networks/${id}/up`);
    const engine = await machine.engine();
    await engine.call('sweep');
    expect(await machine.run(devices)).toBe('');
    expect(await machine.run(tables)).toBe('');
  });
});

describe('a container', () => {
  test('is on its networks: address, hardware address, default route, loopback', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('create', { name: 'back', internal: true, subnet: '10.9.0.0/24', mtu: 1400 });
    const attachment = await engine.call<Attachment>('attach', 'c', [
      { network: 'back', ip: '10.9.0.77' },
      { network: 'bridge' },
    ]);
    const container = await machine.container();
    expect(await container.connect(attachment)).toEqual([]);
    expect(await container.run('ip -br addr | tr -s " "')).toBe(
      'lo UNKNOWN 127.0.0.1/8 ::1/128 \n' +
        'eth0@if' +
        (await container.run('ip -br addr')).match(/eth0@if(\d+)/)?.[1] +
        ' UP 10.9.0.77/24 \n' +
        'eth1@if' +
        (await container.run('ip -br addr')).match(/eth1@if(\d+)/)?.[1] +
        ' UP 172.17.0.2/16 \n',
    );
    expect(await container.run('ip route show default')).toBe('default via 172.17.0.1 dev eth1 \n');
    expect(await container.run('ip link show eth0')).toMatch(/mtu 1400[\s\S]*02:42:0a:09:00:4d/);
    expect(attachment.endpoints).toMatchObject([
      { networkName: 'back', interface: 'eth0', ip: '10.9.0.77', prefixLength: 24, mac: '02:42:0a:09:00:4d' },
      { networkName: 'bridge', interface: 'eth1', ip: '172.17.0.2', prefixLength: 16, gateway: '172.17.0.1' },
    ]);
  });

  test('reaches its own network and the outside, and no other network', async () => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('create', { name: 'one' });
    await engine.call('create', { name: 'two' });
    await engine.call('create', { name: 'in', internal: true });
    // A machine beyond this one that knows no way back to the containers.
    const outside = await machine.container();
    await machine.net([
      ['net-bridge', 'wan', '02:00:00:00:00:01', '', 'test', '198.51.100.1/24'],
      ['net-host-veth', 'wan0', 'wan', 'eth0', '02:00:00:00:00:02', '', outside.pid],
    ]);
    await machine.net([['net-in-interface', 'eth0', '198.51.100.2/24', '']], outside.within());
    const [a, b, c, d] = [
      await machine.container(),
      await machine.container(),
      await machine.container(),
      await machine.container(),
    ];
    const joined: Attachment[] = [];
    for (const [container, network] of [
      [a, 'one'],
      [b, 'one'],
      [c, 'two'],
      [d, 'in'],
    ] as const) {
      const attachment = await engine.call<Attachment>('attach', `c${joined.length}`, [{ network }]);
      expect(await container.connect(attachment)).toEqual([]);
      joined.push(attachment);
    }
    const ip = (i: number): string => joined[i]?.endpoints[0]?.ip ?? '';
    const servers = [
      await b.serve(80, 'b'),
      await c.serve(80, 'c'),
      await d.serve(80, 'd'),
      await outside.serve(80, 'outside'),
    ];
    try {
      expect(await a.ask(ip(1), 80)).toBe('b');
      expect(await machine.run(askCommand(ip(1), 80))).toBe('b');
      expect(await a.ask('198.51.100.2', 80)).toBe('outside');
      expect(await a.ask(ip(2), 80)).toBe('silence');
      expect(await a.ask(ip(3), 80)).toBe('silence');
      expect(await d.ask('198.51.100.2', 80)).toBe('ENETUNREACH');
      expect(await d.ask(ip(1), 80)).toBe('ENETUNREACH');
    } finally {
      for (const server of servers) server.kill();
    }
  });

  test('reaches the others beside a Docker that drops what it does not know', async () => {
    await using machine = await Machine.start();
    await machine.run(
      'ip link add docker0 type bridge && iptables -P FORWARD DROP && iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER && iptables -A DOCKER-USER -j RETURN',
    );
    const before = await machine.run('iptables-save | grep -v "^[#:]"');
    const engine = await machine.engine();
    const outside = await machine.container();
    await machine.net([
      ['net-bridge', 'wan', '02:00:00:00:00:01', '', 'test', '198.51.100.1/24'],
      ['net-host-veth', 'wan0', 'wan', 'eth0', '02:00:00:00:00:02', '', outside.pid],
    ]);
    await machine.net([['net-in-interface', 'eth0', '198.51.100.2/24', '']], outside.within());
    const [a, b] = [await machine.container(), await machine.container()];
    await a.connect(await engine.call<Attachment>('attach', 'a', [{ network: 'bridge' }]));
    await b.connect(await engine.call<Attachment>('attach', 'b', [{ network: 'bridge' }]));
    const servers = [await b.serve(80, 'b'), await outside.serve(80, 'outside')];
    try {
      expect(await a.ask('198.51.100.2', 80)).toBe('outside');
      expect(await a.ask('172.17.0.3', 80)).toBe('b');
    } finally {
      for (const server of servers) server.kill();
    }
    for (const name of ['a', 'b']) await engine.call('release', name);
    await engine.call('close');
    expect(await machine.run('iptables-save | grep -v "^[#:]"')).toBe(before);
  });

  test.each([
    [{ network: 'web', ip: '10.9.0.5' }, 'CTR_CONFLICT', ['taken']],
    [{ network: 'web', ip: '10.8.0.5' }, undefined, undefined],
    [{ network: 'web', ip: '10.9.0.1' }, undefined, undefined],
    [{ network: 'nowhere' }, 'CTR_NOT_FOUND', undefined],
  ])('cannot have the place %j, and leaves none behind', async (request, code, usedBy) => {
    await using machine = await Machine.start();
    const engine = await machine.engine();
    await engine.call('create', { name: 'web', subnet: '10.9.0.0/29' });
    await engine.call('attach', 'taken', [{ network: 'web', ip: '10.9.0.5' }]);
    const failure = expect(engine.call('attach', 'c', [{ network: 'bridge' }, request])).rejects;
    await failure.toMatchObject(code === undefined ? { name: 'TypeError' } : { code, ...(usedBy && { usedBy }) });
    expect(await engine.call('get', 'bridge')).toMatchObject({ containers: {} });
  });

  test('finds a full network full, and an address whose container is gone free', async () => {
    await using machine = await Machine.start();
    const gone = await machine.engine();
    await gone.call('create', { name: 'web', subnet: '10.9.0.0/29' });
    await gone.call('attachMany', 'gone', 2, 'web');
    await gone.kill();
    const engine = await machine.engine();
    await engine.call('attachMany', 'c', 5, 'web');
    await expect(engine.call('attach', 'more', [{ network: 'web' }])).rejects.toMatchObject({ code: 'CTR_LIMIT' });
  });
});
