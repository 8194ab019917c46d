import { dockerCredentials } from '../../registry/credentials.js';
import { Registry } from '../../registry/registry.js';
import type { SearchResult } from '../../registry/search.js';
import type { Invocation } from '../command.js';
import type { searchFlags } from '../commands/registry.js';
import { allOf, type Test } from '../filters.js';
import { printListing } from '../format.js';
import { UsageError } from '../usage-error.js';

const headings = {
  Description: 'DESCRIPTION',
  IsAutomated: 'AUTOMATED',
  IsOfficial: 'OFFICIAL',
  Name: 'NAME',
  StarCount: 'STARS',
};
const COLUMNS = 45;

/** `search`. */
export async function search({ flags, args: [term = ''] }: Invocation<typeof searchFlags>): Promise<number> {
  const matches = allOf(flags.filter, tests);
  const { host, query } = split(term);
  await using registry = new Registry(host, { credentials: dockerCredentials() });
  const { limit } = flags;
  const found = await registry.search(query, limit === undefined ? {} : { limit });
  const rows = found.filter(matches).map(({ name, description, stars, official }) => ({
    Description: flags['no-trunc'] ? oneLine(description) : shortened(oneLine(description)),
    IsAutomated: '',
    IsOfficial: official ? '[OK]' : '',
    Name: name,
    StarCount: String(stars),
  }));
  const columns = ['Name', 'Description', 'StarCount', 'IsOfficial'];
  printListing({ rows, headings, columns, key: 'Name' }, { format: flags.format, quiet: false });
  return 0;
}

const tests: Readonly<Record<string, Test<SearchResult>>> = {
  'is-automated': (_, value) => value === 'false' || value === '0',
  'is-official': ({ official }, value) => official === (value === 'true' || value === '1'),
  stars: ({ stars }, value) => {
    if (!/^\d+$/.test(value)) throw new UsageError(`invalid filter 'stars=${value}'`, 1);
    return stars >= Number(value);
  },
};

/** `host/term`, where the first part can only be a host; else all of it is for Docker Hub. */
function split(term: string): { readonly host: string; readonly query: string } {
  const slash = term.indexOf('/');
  const first = term.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  return isHost ? { host: first, query: term.slice(slash + 1) } : { host: 'docker.io', query: term };
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function shortened(text: string): string {
  return text.length > COLUMNS ? `${text.slice(0, COLUMNS - 1)}…` : text;
}
