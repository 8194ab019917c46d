import { parseJson, type Json } from '../oci/json.js';

/** What a search found. */
export interface SearchResult {
  /** As it is pulled: `nginx`, `bitnami/redis`. */
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  /** One of Docker's own. */
  readonly official: boolean;
}

export const MAX_SEARCH_BYTES = 4 * 1024 * 1024;
const MAX_LIMIT = 100;

/** @throws `TypeError` when there may not be so many. */
export function searchUrl(base: URL, term: string, limit: number, call: string): URL {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new TypeError(`${call}: expected limit to be between 1 and ${MAX_LIMIT}, got ${limit}`);
  }
  const url = new URL('v1/search', base);
  url.searchParams.set('q', term);
  url.searchParams.set('n', String(limit));
  return url;
}

/** The answer of Docker Hub's first search, which is still the one that `docker search` asks. */
export function readSearch(
  bytes: Uint8Array,
  origin: { readonly call: string; readonly source: string },
): SearchResult[] {
  const json = parseJson(bytes, MAX_SEARCH_BYTES, origin);
  return json.maybe('results', results => results.items().map(readResult)) ?? [];
}

function readResult(json: Json): SearchResult {
  return {
    name: json.at('name').string(),
    description: json.maybe('description', value => value.string()) ?? '',
    stars: json.maybe('star_count', value => value.count()) ?? 0,
    official: json.maybe('is_official', value => value.boolean()) ?? false,
  };
}
