import { describe, expect, test } from '@jest/globals';

import { applyChanges } from '../../lib/image/changes.js';

const apply = (config: Record<string, unknown>, ...changes: string[]): Record<string, unknown> =>
  applyChanges(config, changes, 'images.import');

describe('a change', () => {
  test.each<[string, string[], Record<string, unknown>]>([
    ['CMD as a list', ['CMD ["echo","hi there"]'], { Cmd: ['echo', 'hi there'] }],
    ['CMD for the shell', ['cmd echo hi'], { Cmd: ['/bin/sh', '-c', 'echo hi'] }],
    ['CMD that only looks like a list', ['CMD [ -e /x ]'], { Cmd: ['/bin/sh', '-c', '[ -e /x ]'] }],
    ['ENTRYPOINT', ['ENTRYPOINT exec top'], { Entrypoint: ['/bin/sh', '-c', 'exec top'] }],
    ['ENV of several', ['ENV A=1 B="x y" C=a\\ b'], { Env: ['A=1', 'B=x y', 'C=a b'] }],
    ['ENV in its old form', ['ENV A some words'], { Env: ['A=some words'] }],
    [
      'ENV that builds on another',
      ['ENV A=1', "ENV B=$A C=${A}2 D='$A' E=${X:-none}"],
      { Env: ['A=1', 'B=1', 'C=12', 'D=$A', 'E=none'] },
    ],
    ['ENV again', ['ENV A=1 B=2', 'ENV A=3'], { Env: ['A=3', 'B=2'] }],
    [
      'EXPOSE',
      ['EXPOSE 80 53/UDP 8000-8001'],
      { ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {} } },
    ],
    ['LABEL', ['LABEL a=b c="d e"', 'LABEL a=z'], { Labels: { a: 'z', c: 'd e' } }],
    ['USER', ['USER 1:2'], { User: '1:2' }],
    ['VOLUME as a list', ['VOLUME ["/d","/e f"]'], { Volumes: { '/d': {}, '/e f': {} } }],
    ['VOLUME as words', ['VOLUME /d /e'], { Volumes: { '/d': {}, '/e': {} } }],
    ['WORKDIR, one below the other', ['WORKDIR /w', 'WORKDIR x/../y'], { WorkingDir: '/w/y' }],
    ['ONBUILD', ['ONBUILD RUN x', 'ONBUILD COPY . .'], { OnBuild: ['RUN x', 'COPY . .'] }],
    ['STOPSIGNAL', ['STOPSIGNAL SIGINT'], { StopSignal: 'SIGINT' }],
    [
      'HEALTHCHECK',
      ['HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x'],
      { Healthcheck: { Test: ['CMD-SHELL', 'curl -f x'], Interval: 90_000_000_000, Timeout: 500_000_000, Retries: 3 } },
    ],
    ['HEALTHCHECK NONE', ['HEALTHCHECK NONE'], { Healthcheck: { Test: ['NONE'] } }],
  ])('%s', (_, changes, expected) => expect(apply({}, ...changes)).toEqual(expected));

  test('of the entrypoint takes the command of the image away, not one among the changes', () => {
    expect(apply({ Cmd: ['sh'] }, 'ENTRYPOINT ["x"]')).toEqual({ Entrypoint: ['x'] });
    expect(apply({ Cmd: ['sh'] }, 'CMD ["y"]', 'ENTRYPOINT ["x"]')).toEqual({ Entrypoint: ['x'], Cmd: ['y'] });
  });

  test('leaves what it was given as it is', () => {
    const config = Object.freeze({ Env: Object.freeze(['A=1']), Labels: Object.freeze({ a: 'b' }) });
    expect(applyChanges(config, ['ENV A=2', 'LABEL c=d'], 'x')).toEqual({ Env: ['A=2'], Labels: { a: 'b', c: 'd' } });
    expect(config).toEqual({ Env: ['A=1'], Labels: { a: 'b' } });
  });

  test.each([
    ['RUN x', /RUN is not a valid change command/],
    ['SHELL ["a"]', /SHELL is not a valid change command/],
    ['toString', /not a valid change command/],
    ['', /is empty/],
    ['CMD', /wants something/],
    ['ENV A', /wants a value/],
    ['LABEL =x', /wants a value|not name=value/],
    ['LABEL a="b', /quote is not closed/],
    ['EXPOSE 70000', /is no port/],
    ['EXPOSE 9-8', /is no port/],
    ['HEALTHCHECK CMD', /wants NONE, or CMD/],
    ['HEALTHCHECK --interval=soon CMD x', /is no duration/],
    ['HEALTHCHECK --every=1s CMD x', /no flag --every/],
    ['ONBUILD ONBUILD RUN x', /not allowed/],
  ])('%s is refused', (change, words) => {
    expect(() => apply({}, change)).toThrow(expect.objectContaining({ code: 'CTR_PARSE' }));
    expect(() => apply({}, change)).toThrow(words);
  });
});
