import { describe, expect, test } from '@jest/globals';

import { resolveUser } from '../../lib/runtime/users.js';

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment: and, some: colons
+::::::
app:x:1000:1001:The app,,,:/srv/app:/bin/sh
  spaced:x:7:8::/home/spaced:/bin/sh
99:x:5:6:a name of digits:/five:/bin/sh
`;
const group = `root:x:0:root
app:x:1001:
wheel:x:10:root,app
audio:x:29: app , other
12:x:77:
`;
const files = { passwd, group };

describe('resolveUser', () => {
  test.each([
    ['', { uid: 0, gid: 0, groups: [0, 0, 10], home: '/root', name: 'root' }],
    ['root', { uid: 0, gid: 0, groups: [0, 0, 10], home: '/root', name: 'root' }],
    ['app', { uid: 1000, gid: 1001, groups: [1001, 10], home: '/srv/app', name: 'app' }],
    ['1000', { uid: 1000, gid: 1001, groups: [1001, 10], home: '/srv/app', name: 'app' }],
    ['app:audio', { uid: 1000, gid: 29, groups: [29], home: '/srv/app', name: 'app' }],
    ['app:5000', { uid: 1000, gid: 5000, groups: [5000], home: '/srv/app', name: 'app' }],
    ['4242', { uid: 4242, gid: 0, groups: [0], home: '/' }],
    ['4242:4343', { uid: 4242, gid: 4343, groups: [4343], home: '/' }],
    [':29', { uid: 0, gid: 29, groups: [29], home: '/root', name: 'root' }],
    ['spaced', { uid: 7, gid: 8, groups: [8], home: '/home/spaced', name: 'spaced' }],
    ['99', { uid: 99, gid: 0, groups: [0], home: '/' }],
    ['app:12', { uid: 1000, gid: 12, groups: [12], home: '/srv/app', name: 'app' }],
    ['2147483647', { uid: 2147483647, gid: 0, groups: [0], home: '/' }],
  ])('%s', (user, expected) => {
    expect(resolveUser(user, files)).toEqual(expected);
  });

  test('without any files ids work and root is root', () => {
    expect(resolveUser('', {})).toEqual({ uid: 0, gid: 0, groups: [0], home: '/' });
    expect(resolveUser('5:6', {})).toEqual({ uid: 5, gid: 6, groups: [6], home: '/' });
  });

  test('a name that is not there is no such user, in the words of Docker', () => {
    expect(() => resolveUser('nobody', files, { call: 'containers.create' })).toThrow(
      expect.objectContaining({
        code: 'CTR_NOT_FOUND',
        kind: 'user',
        ref: 'nobody',
        message:
          'containers.create: no such user: nobody. unable to find user nobody: no matching entries in passwd file',
      }),
    );
    expect(() => resolveUser('app:nope', files)).toThrow(
      /unable to find group nope: no matching entries in group file/,
    );
    expect(() => resolveUser('-1', files)).toThrow(/unable to find user -1/);
  });

  test.each(['2147483648', '0:4294967295', '99999999999999999999'])('%s is out of range', user => {
    expect(() => resolveUser(user, files)).toThrow(expect.objectContaining({ code: 'CTR_LIMIT', limit: 2147483647 }));
  });

  test('further groups are added by name or id', () => {
    expect(resolveUser('app', files, { extraGroups: ['root', '123'] }).groups).toEqual([1001, 10, 0, 123]);
    expect(() => resolveUser('app', files, { extraGroups: ['nope'] })).toThrow(/no such group: nope/);
  });
});
