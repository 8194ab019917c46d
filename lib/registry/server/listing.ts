import { mediaTypes } from '../../oci/descriptor.js';
import { isTag } from '../../oci/reference.js';
import type { Digest } from '../../types.js';
import { Refusal, send, sendJson, type Exchange } from './reply.js';
import type { RegistryStorage } from './storage.js';

/** What is sent at once, whatever is asked for. */
const MAX_NAMES = 10_000;
/** A client reads indexes of at most 4 MiB. */
const MAX_REFERRERS = 2_000;

/** "Listing tags". */
export function sendTags(exchange: Exchange, repository: string, all: readonly string[] | undefined): void {
  if (all === undefined) {
    throw new Refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry', {}, { name: repository });
  }
  const { names, headers } = page(exchange.url, all.filter(isTag));
  sendJson(exchange, 200, { name: repository, tags: names }, headers);
}

/** Not of the specification any more, and asked for by everybody. */
export function sendCatalog(exchange: Exchange, storage: RegistryStorage): void {
  const { names, headers } = page(exchange.url, storage.repositories());
  sendJson(exchange, 200, { repositories: names }, headers);
}

/** "Listing referrers". */
export function sendReferrers(
  exchange: Exchange,
  storage: RegistryStorage,
  { repository, subject }: { readonly repository: string; readonly subject: Digest },
): void {
  const wanted = exchange.url.searchParams.get('artifactType') ?? undefined;
  const found = storage
    .referrers(repository, subject)
    .filter(({ artifactType }) => wanted === undefined || artifactType === wanted);
  const byDigest = new Map<string, (typeof found)[number]>(found.map(each => [each.digest, each]));
  const { names, headers } = page(exchange.url, [...byDigest.keys()], MAX_REFERRERS);
  const manifests = names.map(digest => byDigest.get(digest));
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  send(
    exchange,
    200,
    {
      'content-type': mediaTypes.ociIndex,
      ...headers,
      ...(wanted !== undefined && { 'oci-filters-applied': 'artifactType' }),
    },
    body,
  );
}

/** The search of Docker Hub's first version, which `docker search HOST/TERM` asks: names that have the word in them. */
export function sendSearch(exchange: Exchange, storage: RegistryStorage): void {
  const query = exchange.url.searchParams.get('q') ?? '';
  const limit = Math.min(100, count(exchange.url.searchParams.get('n')) ?? 25);
  const found = storage
    .repositories()
    .filter(name => name.includes(query.toLowerCase()))
    .sort()
    .slice(0, limit);
  const results = found.map(name => ({
    name,
    description: '',
    star_count: 0,
    is_official: false,
    is_automated: false,
  }));
  sendJson(exchange, 200, { query, num_results: results.length, results });
}

/** In lexical order, from behind `last` on, at most `n` of them, with a link to the rest. */
function page(
  url: URL,
  all: readonly string[],
  max = MAX_NAMES,
): { readonly names: readonly string[]; readonly headers: Readonly<Record<string, string>> } {
  const n = url.searchParams.get('n');
  const asked = count(n);
  if (n !== null && asked === undefined) {
    throw new Refusal(400, 'SIZE_INVALID', 'n is no number', {}, { n: n.slice(0, 40) });
  }
  const last = url.searchParams.get('last') ?? '';
  const rest = all.filter(name => name > last).sort();
  const names = rest.slice(0, Math.min(asked ?? max, max));
  const final = names.at(-1);
  if (final === undefined || names.length === rest.length) return { names, headers: {} };
  const next = new URL(url);
  next.searchParams.set('n', String(names.length));
  next.searchParams.set('last', final);
  return { names, headers: { link: `<${next.pathname}${next.search}>; rel="next"` } };
}

function count(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
