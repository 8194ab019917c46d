/** One way in that a `WWW-Authenticate` header offers. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const parameter =
  /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z/:]+))/y;
const gap = /[ \t,]*/y;

/**
 * Reads `WWW-Authenticate`, which holds one or more challenges, each with parameters that are separated by the same comma.
 * What cannot be read ends the list: a challenge that is not understood is one that is not answered.
 *
 * @see {@link https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 | RFC 9110, section 11.6.1}
 */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  return lines.flatMap(parseLine);
}

function parseLine(line: string): Challenge[] {
  const challenges: Challenge[] = [];
  let at = skip(line, 0);
  while (at < line.length) {
    const scheme = match(token, line, at);
    if (scheme === undefined) break;
    at = skip(line, at + scheme[0].length);
    const pairs: [string, string][] = [];
    for (let pair = match(parameter, line, at); pair !== undefined; pair = match(parameter, line, at)) {
      pairs.push([pair[1]?.toLowerCase() ?? '', pair[2]?.replace(/\\(.)/g, '$1') ?? pair[3] ?? '']);
      at = skip(line, at + pair[0].length);
    }
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: Object.fromEntries(pairs) });
  }
  return challenges;
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function skip(text: string, at: number): number {
  return at + (match(gap, text, at)?.[0].length ?? 0);
}
