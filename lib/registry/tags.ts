import { ParseError } from '../errors.js';
import { parseJson } from '../oci/json.js';

/** More pages than any repository has; a registry that never ends is not followed for ever. */
const MAX_PAGES = 10_000;

/** Some registries know no pages and send all tags at once. */
export const MAX_TAGS_BYTES = 32 * 1024 * 1024;
const MAX_TAGS = 1_000_000;

/** One answer, with its `Link` header. */
export interface TagPage {
  readonly bytes: Uint8Array;
  readonly link: string | undefined;
}

/** distribution-spec v1.1.1, "Listing Tags". */
export async function* listTags(
  call: string,
  first: URL,
  ask: (url: URL) => Promise<TagPage>,
): AsyncGenerator<string, void, undefined> {
  let url: URL | undefined = first;
  for (let page = 0; url !== undefined && page < MAX_PAGES; page++) {
    const { bytes, link }: TagPage = await ask(url);
    const json = parseJson(bytes, MAX_TAGS_BYTES, { call, source: url.href });
    const tags: string[] = json.maybe('tags', value => value.strings(MAX_TAGS)) ?? [];
    yield* tags;
    // An empty page says that there is nothing after it, whatever its link says.
    url = tags.length === 0 ? undefined : nextPage(link, url, call);
  }
}

/** RFC 8288, as far as registries use it: `</v2/x/tags/list?last=b>; rel="next"`. */
function nextPage(link: string | undefined, from: URL, call: string): URL | undefined {
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
