/**
 * Whether a name, as short as Docker prints it, is one that a pattern means: `alpine`, `alpine:3`, `team/*`,
 * `*:stable-[0-9]`. A pattern that says no tag means all of them.
 */
export function matchesReference(name: string, pattern: string): boolean {
  const expression = toExpression(pattern);
  return expression.test(name) || expression.test(withoutVersion(name));
}

function withoutVersion(name: string): string {
  const [repository = ''] = name.split('@', 1);
  const colon = repository.lastIndexOf(':');
  return colon > repository.lastIndexOf('/') ? repository.slice(0, colon) : repository;
}

/** The patterns of Go's `path.Match`, which Docker uses. One that is malformed fits only itself. */
function toExpression(pattern: string): RegExp {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const end = pattern.indexOf(']', at + 2);
      if (end === -1) return new RegExp(`^${escaped(pattern)}$`);
      const body = pattern.slice(at + 1, end);
      const negated = body.startsWith('^');
      source += `[${negated ? '^' : ''}${body.slice(negated ? 1 : 0).replace(/[\\\]^[]/g, '\\$&')}]`;
      at = end;
    } else if (char === '\\' && at + 1 < pattern.length) source += escaped(pattern.charAt(++at));
    else source += escaped(char);
  }
  try {
    return new RegExp(`^${source}$`);
  } catch {
    // A range the wrong way round: `[z-a]`.
    return new RegExp(`^${escaped(pattern)}$`);
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
