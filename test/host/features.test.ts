import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from '@jest/globals';

import { formatFeatures, probeFeatures } from '../../lib/host/features.js';
import { runJob } from '../../lib/host/job.js';
import { Plan } from '../../lib/host/plan.js';
import { capabilitySets } from '../../lib/runtime/capabilities.js';
import { defaultProfile } from '../../lib/runtime/seccomp-default.js';
import { compileSeccomp } from '../../lib/runtime/seccomp.js';
import type { Feature, Features } from '../../lib/types.js';
import { needs } from '../support/needs.js';

const directory = mkdtempSync(join(tmpdir(), 'tscontainer-features-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('probeFeatures', () => {
  test('answers every row, and says what would help where it says no', async () => {
    const features = await probeFeatures({ directory });
    expect(features.linux.available).toBe(true);
    for (const feature of Object.values(features) as Feature[]) {
      if (!feature.available) expect([feature.reason, feature.remedy]).not.toContain('');
    }
    expect(Object.keys(features)).toHaveLength(18);
  });

  test('leaves nothing in the directory', () => {
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a directory that cannot be written takes away overlay alone', async () => {
    const features = await probeFeatures({ directory: '/proc' });
    expect(features.overlay).toMatchObject({
      available: false,
      reason: expect.stringMatching(/^mkdir failed with E/) as unknown as string,
    });
    expect(features.linux.available).toBe(true);
  });

  test('can be aborted', async () => {
    const reason = new Error('enough');
    await expect(probeFeatures({ directory, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  needs('root').test('what containers are made of is there for root', async () => {
    const { namespaces, overlay, seccomp } = await probeFeatures({ directory });
    expect([namespaces, overlay, seccomp].filter(feature => !feature.available)).toEqual([]);
  });
});

describe('seccomp', () => {
  async function load(program: Buffer): Promise<unknown> {
    const [fact] = await runJob('probe', new Plan().op('seccomp', program));
    return fact;
  }

  test('the kernel takes the default profile and follows it', async () => {
    const arch = process.arch as 'x64' | 'arm64';
    const plain = compileSeccomp(defaultProfile, { capabilities: capabilitySets().names, arch });
    expect(await load(plain)).toMatchObject({ ok: '1', detail: 'EPERM' });
    const admin = compileSeccomp(defaultProfile, { capabilities: capabilitySets({ add: ['SYS_ADMIN'] }).names, arch });
    expect(await load(admin)).toMatchObject({ ok: '1', detail: 'unfiltered' });
  });

  test('the kernel refuses what is no program', async () => {
    expect(await load(Buffer.alloc(8, 0xff))).toMatchObject({ errno: 'EINVAL', stage: 'seccomp' });
    expect(await load(Buffer.alloc(7))).toMatchObject({ errno: 'EINVAL', stage: 'program' });
  });
});

describe('formatFeatures', () => {
  test('has one row each, and below it how to get what is missing', () => {
    const some = {
      overlay: { available: true, detail: 'fine' },
      bridge: { available: false, reason: 'no module', remedy: 'modprobe bridge' },
    };
    expect(formatFeatures(some as unknown as Features)).toBe(
      'overlay  yes  fine\nbridge   no   no module\n              to get it: modprobe bridge\n',
    );
  });
});
