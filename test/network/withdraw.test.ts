import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import { readNetwork } from '../../lib/container/network-state.js';
import type { Engine } from '../../lib/engine.js';
import { elementsOf } from '../../lib/network/withdraw.js';
import { baseImage } from '../support/host.js';
import { testEngine, type Place } from '../support/engine.js';
import { needs, programPath } from '../support/needs.js';
import { until } from '../support/until.js';

const { test } = needs('root', 'nft', 'ip');
const index = fileURLToPath(new URL('../../lib/index.js', import.meta.url));

test('elements are read out of what nft prints', () => {
  const listing = `table inet tscontainer-tsc0 {
	map ports4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 6 . 8080 : 172.17.0.2 . 80,
			     17 . 53 : 172.17.0.3 . 53 }
	}

	map ports6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
	}

	map addresses6 {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
		elements = { 2001:db8::1 . 6 . 8443 : fd00::2 . 443 }
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @addresses4
	}
}`;
  expect(elementsOf(listing)).toEqual([
    { map: 'ports4', key: '6 . 8080', address: '172.17.0.2' },
    { map: 'ports4', key: '17 . 53', address: '172.17.0.3' },
    { map: 'addresses6', key: '2001:db8::1 . 6 . 8443', address: 'fd00::2' },
  ]);
});

/** What leads to members of a network, as nft has it. */
function elements(device: string): string[] {
  const text = execFileSync(programPath('nft') ?? 'nft', ['-n', 'list', 'table', 'inet', `tscontainer-${device}`], {
    encoding: 'utf8',
  });
  return elementsOf(text).map(({ address }) => address);
}

function monitorOf(place: Place, id: string): number {
  const running = readFileSync(join(place.runRoot, 'c', id.slice(0, 12), 'running'), 'utf8');
  return (JSON.parse(running) as { monitor: number }).monitor;
}

async function twoOn(engine: Engine, network: string): Promise<{ ids: string[]; ips: string[] }> {
  const ids: string[] = [];
  const ips: string[] = [];
  for (const name of ['victim', 'bystander']) {
    const container = await engine.launch(await baseImage(engine), {
      ...{ name: `${network}-${name}`, command: ['sleep', '600'], networks: [network] },
      ...{
        ports: [
          { container: 80, hostIp: '0.0.0.0' },
          { container: 53, protocol: 'udp', hostIp: '0.0.0.0' },
        ],
      },
    });
    ids.push(container.id);
    ips.push((await container.inspect()).networks[network]?.ip ?? '');
  }
  return { ids, ips };
}

test('a killed monitor’s ports, address and names go at once where its starter lives', async () => {
  await using engine = await testEngine();
  await using network = await engine.networks.create({ name: 'withdraw-a', subnet: '10.213.21.0/24' });
  const { device } = await network.inspect();
  const { ids, ips } = await twoOn(engine, network.name);
  expect(elements(device).sort()).toEqual([...ips, ...ips].sort());
  process.kill(monitorOf(engine.place, ids[0] ?? ''), 'SIGKILL');
  await until('only one has a place', async () => Object.keys((await network.inspect()).containers).length === 1);
  expect(Object.values((await network.inspect()).containers)).toEqual([ips[1]]);
  expect(elements(device)).toEqual([ips[1], ips[1]]);
  for (const container of await engine.containers.list()) await container.remove({ force: true });
});

test('a killed monitor’s ports go with the next open where its starter was killed, too', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using network = await engine.networks.create({ name: 'withdraw-b', subnet: '10.213.22.0/24' });
  const { device } = await network.inspect();
  const script = `
    import { Engine } from ${JSON.stringify(index)};
    const engine = await Engine.open({ root: ${JSON.stringify(engine.root)}, runRoot: ${JSON.stringify(engine.place.runRoot)} });
    for (const name of ['victim', 'bystander']) {
      const container = await engine.launch(${JSON.stringify(image.id)}, { name, command: ['sleep', '600'], networks: ['withdraw-b'], lifetime: 'detached', ports: [80] });
      console.log(container.id);
    }
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ids: string[] = [];
  for await (const id of createInterface({ input: child.stdout })) if (ids.push(id) === 2) break;
  child.kill('SIGKILL');
  await once(child, 'close');
  const ips = elements(device);
  expect(ips).toHaveLength(2);
  process.kill(monitorOf(engine.place, ids[0] ?? ''), 'SIGKILL');
  // Nobody is there to see it: it is found by whoever opens the store next.
  expect(elements(device)).toHaveLength(2);
  const bystander = readNetwork(join(engine.place.runRoot, 'c', ids[1]?.slice(0, 12) ?? '')).endpoints[0]?.ip;
  const next = await engine.place.open();
  expect(elements(device)).toEqual([bystander]);
  for (const container of await next.containers.list()) await container.remove({ force: true });
});

test('a container that outlives its engine keeps its address', async () => {
  await using engine = await testEngine();
  await using network = await engine.networks.create({ name: 'withdraw-c', subnet: '10.213.23.0/24' });
  const starter = await engine.place.open();
  const container = await starter.containers.create({
    ...{ image: await baseImage(starter), name: 'kept', command: ['sleep', '600'], networks: [network.name] },
  });
  await container.start();
  await starter.close();
  expect((await network.inspect()).containers).toEqual({ [container.id]: '10.213.23.2' });
  await (await engine.containers.get('kept')).remove({ force: true });
});
