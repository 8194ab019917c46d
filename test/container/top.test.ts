import { expect } from '@jest/globals';

import { ownTable, parseTable } from '../../lib/container/top.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root', 'ps');

describe('container.top', () => {
  test('lists the processes of this container alone, with pids of the host', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using other = await engine.launch(image, { networks: ['none'], command: ['sleep', '61'] });
    const command = ['sh', '-c', 'sleep 62 & sleep 63 & echo ready; wait'];
    await using container = await engine.launch(image, { networks: ['none'], command });
    for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    const { pid } = await container.inspect();
    const { titles, processes } = await container.top();
    expect(titles).toEqual(['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
    expect(processes.map(row => row.at(-1)).sort()).toEqual([command.join(' '), 'sleep 62', 'sleep 63']);
    expect(processes.find(row => row.at(-1) === command.join(' '))?.[1]).toBe(String(pid));
    expect((await other.top()).processes).toHaveLength(1);
  });

  test('takes options of ps, also those that do not go with a list of pids', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { networks: ['none'], command: ['sleep', '64'] });
    const { pid } = await container.inspect();
    for (const psOptions of [
      ['-o', 'pid,args'],
      ['-eo', 'pid,args'],
      ['axo', 'pid,args'],
    ]) {
      expect(await container.top({ psOptions })).toEqual({
        titles: ['PID', 'COMMAND'],
        processes: [[String(pid), 'sleep 64']],
      });
    }
    expect((await container.top({ psOptions: ['aux'] })).titles.slice(0, 4)).toEqual(['USER', 'PID', '%CPU', '%MEM']);
  });

  test('refuses options that would have other processes pass for these', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { networks: ['none'], command: ['sleep', '65'] });
    await expect(container.top({ psOptions: ['-o', 'ppid=PID'] })).rejects.toThrow(TypeError);
    await expect(container.top({ psOptions: ['-o', 'args'] })).rejects.toThrow(/column PID/);
    await expect(container.top({ psOptions: ['--no-such-option'] })).rejects.toMatchObject({ code: 'CTR_SYSCALL' });
    await container.kill();
    await expect(container.top()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'exited' });
  });

  test('what it says without ps is what ps says', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'sleep 66 & echo ready; exec tail -f /dev/null'];
    await using container = await engine.launch(image, { networks: ['none'], command, user: '1234' });
    for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    const theirs = await container.top();
    const pids = theirs.processes.map(row => Number(row[1]));
    const ours = ownTable(pids);
    // C is a share of the time that has passed meanwhile.
    const but = ({ titles, processes }: typeof theirs): unknown => ({
      titles,
      processes: processes.map(row => row.filter((_, column) => titles[column] !== 'C')),
    });
    expect(but(ours)).toEqual(but(theirs));
  });

  test('threads are listed below their process', () => {
    const text = ' PID TTY CMD\n  10 ?   mine\n   - -   -\n  11 ?   other\n   - -   -\n';
    expect(parseTable(text, new Set(['10']), 'container.top').processes).toEqual([
      ['10', '?', 'mine'],
      ['-', '-', '-'],
    ]);
  });
});
