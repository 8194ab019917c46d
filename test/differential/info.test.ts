import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';

const { describe, test } = needs('root', 'docker', 'cc');

let both: CommandLines;

describe('info says what Docker’s does of the same machine', () => {
  beforeAll(async () => {
    both = await CommandLines.of('info');
  }, 60_000);
  afterAll(async () => both[Symbol.asyncDispose]());

  test.each([
    'CgroupVersion',
    'CgroupDriver',
    'KernelVersion',
    'OperatingSystem',
    'OSType',
    'Architecture',
    'NCPU',
    'MemTotal',
    'Name',
    'LoggingDriver',
    'json .SecurityOptions',
  ])('%s', async field => {
    const template = `{{${field.startsWith('json') ? field : `.${field}`}}}`;
    const { ours, theirs } = await both.say('info', '--format', template);
    expect([ours.exitCode, ours.stdout]).toEqual([0, theirs.stdout]);
  });

  test('the store: one image, and containers by state', async () => {
    const name = `info-${process.pid}`;
    const counts = '{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}}';
    const counted = async (): Promise<string> => (await both.say('info', '--format', counts)).ours.stdout.trim();
    try {
      expect(await counted()).toBe('0 0 0 0 1');
      await both.say('run', '-d', '--name', `${name}-a`, '--network', 'none', both.tag, 'sleep', '600');
      await both.say('create', '--name', `${name}-b`, '--network', 'none', both.tag, 'sleep', '600');
      expect(await counted()).toBe('2 1 0 1 1');
      await both.say('pause', `${name}-a`);
      expect(await counted()).toBe('2 0 1 1 1');
    } finally {
      await both.say('rm', '-f', `${name}-a`, `${name}-b`);
    }
  }, 30_000);
});
