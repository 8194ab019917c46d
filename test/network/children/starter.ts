// Starts containers with a random published port each, on a machine of its own: says `{id, ip, port}` for each, one line, and
// removes them at the end of standard input.
import { Engine } from '../../../lib/engine.js';

const [root = '', runRoot = '', image = '', count = '0', network = ''] = process.argv.slice(2);
const engine = await Engine.open({ root, runRoot });
const server = `require('http').createServer((q, s) => s.end(process.env.HOSTNAME)).listen(80)`;
const containers = await Promise.all(
  Array.from({ length: Number(count) }, async () => {
    const container = await engine.launch(image, {
      ...{ entrypoint: [process.execPath, '-e', server], networks: [network], ports: [80], stopSignal: 'SIGKILL' },
    });
    const { networks } = await container.inspect();
    return { container, said: { id: container.id, ip: networks[network]?.ip, port: container.port(80) } };
  }),
);
process.stdout.write(`${JSON.stringify(containers.map(({ said }) => said))}\n`);
for await (const chunk of process.stdin) void chunk;
for (const { container } of containers) await container.remove({ force: true });
await engine.close();
