import { ParseError } from '../errors.js';
import { parseJson } from '../oci/json.js';

/** More pages than any repository has; a registry that never ends is not followed for ever. */
const MAX_PAGES = 10_000;

/** Some registries know no pages and send everything at once. */
export const MAX_PAGE_BYTES = 32 * 1024 * 1024;
const MAX_NAMES = 1_000_000;

/** One answer, with its `Link` header. */
export interface Page {
  readonly bytes: Uint8Array;
  readonly link: string | undefined;
}

/** distribution-spec v1.1.1, "Listing Tags"; the catalog of repositories is paged alike. */
export async function* listNames(
  key: 'tags' | 'repositories',
  call: string,
  first: () => Promise<URL>,
  ask: (url: URL) => Promise<Page>,
): AsyncGenerator<string, void, undefined> {
  let url: URL | undefined = await first();
  for (let page = 0; url !== undefined && page < MAX_PAGES; page++) {
    const { bytes, link }: Page = await ask(url);
    const json = parseJson(bytes, MAX_PAGE_BYTES, { call, source: url.href });
    const names: string[] = json.maybe(key, value => value.strings(MAX_NAMES)) ?? [];
    yield* names;
    // An empty page says that there is nothing after it, whatever its link says.
    url = names.length === 0 ? undefined : nextPage(link, url, call);
  }
}

/** RFC 8288, as far as registries use it: `</v2/x/tags/list?last=b>; rel="next"`. */
export function nextPage(link: string | undefined, from: URL, call: string): URL | undefined {
  const target = /<([^<>]+)>\s*;\s*rel="?next"?/i.exec(link ?? '')?.[1];
  if (target === undefined) return undefined;
  const url = URL.canParse(target, from.href) ? new URL(target, from) : undefined;
  // Behind a proxy that ends TLS, registries name themselves with http; only path and query matter.
  if (url !== undefined && url.pathname + url.search !== from.pathname + from.search) {
    return new URL(url.pathname + url.search, from.origin);
  }
  const reason = `the next page is said to be ${JSON.stringify(target.slice(0, 200))}`;
  throw new ParseError({ call, source: from.href, reason });
}
