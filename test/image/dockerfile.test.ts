import { describe, expect, test } from '@jest/globals';

import { toDockerfile } from '../../lib/image/dockerfile.js';
import { lintImage, type LintFinding } from '../../lib/image/lint.js';

describe('a Dockerfile of an image', () => {
  test('has the steps of the classic builder and of BuildKit in their own words', () => {
    const raw = {
      config: { Cmd: ['sh'], Env: ['PATH=/bin', 'B=a b'], WorkingDir: '/w' },
      history: [
        { created_by: '/bin/sh -c #(nop) ADD file:0123 in / ' },
        { created_by: '/bin/sh -c #(nop)  CMD ["sh"]', empty_layer: true },
        { created_by: '|1 A=b /bin/sh -c apt-get update && apt-get install -y x' },
        { created_by: 'RUN /bin/sh -c make # buildkit' },
        { created_by: 'COPY a /b # buildkit' },
        { created_by: 'busybox-static from Debian' },
        { comment: 'Imported from -' },
      ],
    };
    expect(toDockerfile({ id: 'sha256:1', tags: ['docker.io/library/app:1'], raw }).split('\n')).toEqual([
      '# app:1 (sha256:1)',
      'FROM scratch',
      'ADD . /',
      'CMD ["sh"]',
      'RUN apt-get update \\',
      ' && apt-get install -y x',
      'RUN make',
      'COPY a /b',
      '# busybox-static from Debian',
      '# Imported from -',
      'ENV PATH=/bin',
      'ENV B="a b"',
      'WORKDIR /w',
      '',
    ]);
  });

  test('keeps an instruction on its own lines, whatever is in it', () => {
    const raw = { history: [{ created_by: 'RUN /bin/sh -c echo a\nUSER root\n# buildkit' }] };
    expect(toDockerfile({ id: 'x', tags: [], raw })).toBe('# x\nFROM scratch\nRUN echo a USER root\n');
  });
});

describe('lint', () => {
  const rules = (config: object, more: object = {}): LintFinding['rule'][] =>
    lintImage({ config, history: [{}], ...more }, []).map(({ rule }) => rule);
  const good = { User: '1000', Cmd: ['x'], WorkingDir: '/', Env: ['PATH=/bin'], StopSignal: 'SIGINT' };

  test('finds nothing where there is nothing', () => expect(rules(good)).toEqual([]));

  test.each<[LintFinding['rule'], object, object]>([
    ['runs-as-root', { ...good, User: '' }, {}],
    ['runs-as-root', { ...good, User: 'root:root' }, {}],
    ['no-command', { ...good, Cmd: [] }, {}],
    ['relative-workdir', { ...good, WorkingDir: 'w' }, {}],
    ['secret-in-env', { ...good, Env: ['DB_PASSWORD=x'] }, {}],
    ['duplicate-env', { ...good, Env: ['A=1', 'A=2'] }, {}],
    ['shell-entrypoint-ignores-command', { ...good, Entrypoint: ['/bin/sh', '-c', 'x'] }, {}],
    ['unknown-stop-signal', { ...good, StopSignal: 'SIG INT' }, {}],
    ['created-in-the-future', good, { created: '2999-01-01T00:00:00Z' }],
    ['secret-in-history', good, { history: [{ created_by: 'RUN curl -H "Authorization: Bearer x"' }] }],
  ])('finds %s', (rule, config, more) => expect(rules(config, more)).toEqual([rule]));

  test('does not mistake an empty variable for a secret', () =>
    expect(rules({ ...good, Env: ['TOKEN=', 'TOKENIZER=x'] })).toEqual([]));
});
