import { atMost, command, exactly, type Group } from '../command.js';
import { integer, parsedList, text, toggle } from '../flags.js';
import { parseFilter } from '../pairs.js';

export const loginFlags = {
  password: text('Password or Personal Access Token (PAT)', 'p'),
  'password-stdin': toggle('Take the Password or Personal Access Token (PAT) from stdin'),
  username: text('Username', 'u'),
};

export const login = command({
  synopsis: '[OPTIONS] [SERVER]',
  summary: 'Authenticate to a registry, Docker Hub if no server is specified',
  flags: loginFlags,
  arity: atMost(1),
  run: async call => (await import('../verbs/login.js')).login(call),
});

export const logout = command({
  synopsis: '[SERVER]',
  summary: 'Log out from a registry, Docker Hub if no server is specified',
  flags: {},
  arity: atMost(1),
  run: async call => (await import('../verbs/logout.js')).logout(call),
});

export const pushFlags = {
  'all-tags': toggle('Push all tags of an image to the repository', 'a'),
  quiet: toggle('Suppress verbose output', 'q'),
};

export const push = command({
  synopsis: '[OPTIONS] NAME[:TAG]',
  summary: 'Upload an image to a registry',
  flags: pushFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/push.js')).push(call),
});

export const searchFlags = {
  filter: parsedList('filter', 'Filter output based on conditions provided', parseFilter, 'f'),
  format: text("Format output: 'table', 'json', 'table TEMPLATE' or a Go template"),
  limit: integer('Max number of search results'),
  'no-trunc': toggle("Don't truncate output"),
};

export const search = command({
  synopsis: '[OPTIONS] TERM',
  summary: 'Search Docker Hub for images',
  flags: searchFlags,
  arity: exactly(1),
  run: async call => (await import('../verbs/search.js')).search(call),
});

export const serveFlags = {
  address: text('Where to listen (default 127.0.0.1:5000)', 'a'),
  'anonymous-pull': toggle('With --htpasswd: let anybody pull'),
  data: text('Where the content is kept (default: the images of the store, read-only)'),
  htpasswd: text('Let in only whom this file names, which "htpasswd -B" wrote'),
  'read-only': toggle('Refuse pushes'),
  'tls-cert': text('Certificate to speak TLS with'),
  'tls-key': text('Its key'),
  upstream: text('Fetch what is missing from this registry, and keep it'),
};

const serve = command({
  synopsis: '[OPTIONS]',
  summary: 'Serve a registry until interrupted',
  flags: serveFlags,
  arity: exactly(0),
  run: async call => (await import('../verbs/registry.js')).serve(call),
});

const catalog = command({
  synopsis: 'HOST',
  summary: 'List the repositories of a registry',
  flags: {},
  arity: exactly(1),
  run: async call => (await import('../verbs/registry.js')).catalog(call),
});

const tags = command({
  synopsis: 'REPOSITORY',
  summary: 'List the tags of a repository',
  flags: {},
  arity: exactly(1),
  run: async call => (await import('../verbs/registry.js')).tags(call),
});

export const registry: Group = {
  kind: 'group',
  summary: 'Serve a registry, and look into others',
  commands: { catalog, serve, tags },
};
