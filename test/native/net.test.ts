import { expect } from '@jest/globals';

import { Machine, testAsRoot as test } from '../network/machine.js';

const bridge = ['net-bridge', 'tsc0', '02:42:ac:1e:00:01', '', 'tscontainer:a', '172.30.0.1/16'] as const;

test('a bridge is made once, however often it is asked for', async () => {
  await using machine = await Machine.start();
  expect(await machine.net([bridge, bridge])).toEqual([
    { fact: 'bridge', name: 'tsc0', cidr: '172.30.0.1/16', created: 'yes' },
    { fact: 'bridge', name: 'tsc0', cidr: '172.30.0.1/16', created: '' },
  ]);
  expect(await machine.run('ip -o -4 addr show tsc0 | wc -l')).toBe('1\n');
  expect(await machine.run('ip -o -6 addr show tsc0')).toBe('');
});

test('of several addresses the first is taken that is in nobody\'s way', async () => {
  await using machine = await Machine.start();
  await machine.run('ip link add wan type bridge && ip link set wan up && ip addr add 10.0.0.5/24 dev wan && ip route add 10.1.128.0/17 dev wan');
  const facts = await machine.net([['net-bridge', 'tsc0', '02:42:0a:00:00:01', '1400', 'tscontainer:a', '10.0.0.1/16', '10.1.0.1/16', '10.2.0.1/16']]);
  expect(facts).toEqual([{ fact: 'bridge', name: 'tsc0', cidr: '10.2.0.1/16', created: 'yes' }]);
  expect(await machine.run('ip link show tsc0')).toContain('mtu 1400');
});

test('when all are, the helper says whose, and nothing is made', async () => {
  await using machine = await Machine.start();
  await machine.run('ip link add wan type bridge && ip addr add 172.30.7.1/24 dev wan');
  expect(await machine.net([bridge])).toEqual([
    { fact: 'overlap', wanted: '172.30.0.1/16', held: '172.30.7.1/24', device: 'wan' },
    { fact: 'error', stage: 'net-bridge', syscall: 'bind', errno: 'EADDRINUSE', path: '172.30.0.1/16' },
  ]);
  expect(await machine.run('ip -br link | grep -c tsc || true')).toBe('0\n');
});

test('a device of somebody else is neither taken nor deleted', async () => {
  await using machine = await Machine.start();
  await machine.run('ip link add tsc0 type bridge');
  expect(await machine.net([bridge])).toMatchObject([{ fact: 'error', stage: 'net-bridge', errno: 'EEXIST', path: 'tsc0' }]);
  expect(await machine.net([['net-delete', 'tsc0', 'tscontainer:a']])).toMatchObject([{ fact: 'error', stage: 'net-delete', errno: 'EPERM' }]);
  expect(await machine.run('ip -br link | grep -c tsc0')).toBe('1\n');
});

test('deleting what is not there is fine', async () => {
  await using machine = await Machine.start();
  expect(await machine.net([bridge, ['net-delete', 'tsc0', 'tscontainer:a'], ['net-delete', 'tsc0', 'tscontainer:a']])).toHaveLength(1);
  expect(await machine.run('ip -br link | grep -c tsc0 || true')).toBe('0\n');
});

test('a container\'s interface has all it needs, its host end no address at all', async () => {
  await using machine = await Machine.start();
  const container = await machine.container();
  await machine.net([bridge]);
  expect(
    await container.connect({
      hostOps: [['net-host-veth', 'tsv1', 'tsc0', 'eth0', '02:42:ac:1e:00:02', '']],
      insideOps: [
        ['net-in-up', 'lo'],
        ['net-in-interface', 'eth0', '172.30.0.2/16', '172.30.0.1', 'fd00::2/64', 'fd00::1'],
        ['net-in-address', 'eth0', '10.5.0.1/24'],
        ['net-in-route', '10.6.0.0/16', '10.5.0.2', 'eth0'],
        ['net-in-route', '10.7.0.0/16', '', 'eth0'],
      ],
    }),
  ).toEqual([]);
  expect(await container.run('ip -4 route')).toBe(
    'default via 172.30.0.1 dev eth0 \n10.5.0.0/24 dev eth0 proto kernel scope link src 10.5.0.1 \n10.6.0.0/16 via 10.5.0.2 dev eth0 \n10.7.0.0/16 dev eth0 scope link \n172.30.0.0/16 dev eth0 proto kernel scope link src 172.30.0.2 \n',
  );
  expect(await container.run('ip -6 route show default')).toContain('default via fd00::1 dev eth0');
  expect(await machine.run('ip -o addr show tsv1')).toBe('');
  expect(await machine.run('ip link show tsv1')).toMatch(/master tsc0.*state UP/);
});

test.each([
  [['net-host-veth', 'tsv1', 'nowhere', 'eth0', '02:42:ac:1e:00:02', '', 1], { stage: 'net-veth', syscall: 'ioctl', errno: 'ENODEV', path: 'nowhere' }],
  [['net-host-veth', 'tsv1', 'lo', 'eth0', 'no mac', '', 1], { stage: 'net-veth', errno: 'EINVAL', path: 'no mac' }],
  [['net-in-interface', 'eth9', '172.30.0.2/16', ''], { stage: 'net-address', errno: 'ENODEV', path: 'eth9' }],
  [['net-in-interface', 'lo', '172.30.0.2/33', ''], { stage: 'net-address', errno: 'EINVAL', path: '172.30.0.2/33' }],
  [['net-in-route', 'default', '', 'lo'], { stage: 'net-route', errno: 'EINVAL' }],
  [['net-in-route', 'default', '203.0.113.1', 'lo'], { stage: 'net-route', syscall: 'netlink', errno: 'ENETUNREACH', path: 'default: Nexthop has invalid gateway' }],
  [['net-in-up', 'nowhere'], { stage: 'net-up', errno: 'ENODEV' }],
  [['net-bridge', 'tsc0', 'no mac', '', 'a', '10.0.0.1/8'], { stage: 'net-bridge', errno: 'EINVAL' }],
  [['net-bridge', 'a-name-that-is-too-long', '02:42:ac:1e:00:02', '', 'a', '10.0.0.1/8'], { stage: 'net-bridge' }],
  [['net-nonsense'], { stage: 'net', errno: 'EINVAL', path: 'net-nonsense' }],
])('%j fails and says where', async (op, expected) => {
  await using machine = await Machine.start();
  const facts = await machine.net([op as [string, ...string[]]]);
  expect(facts).toMatchObject([{ fact: 'error', ...expected }]);
  expect(await machine.run('ip -br link | grep -c tsc || true')).toBe('0\n');
});
