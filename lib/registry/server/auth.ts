import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

import { ParseError } from '../../errors.js';

/** Whether somebody is who he says. */
export type Authenticate = (username: string, password: string) => boolean | Promise<boolean>;

/** Log-ins that were right are remembered by a hash of them: checking costs milliseconds on purpose. */
const REMEMBERED = 1_000;

/** Who may come in. */
export class Gate {
  readonly #authenticate: Authenticate;
  readonly #known = new Map<string, string>();
  /** What the known ones were checked against. */
  readonly #version: () => string;
  #checkedAgainst = '';

  private constructor(authenticate: Authenticate, version: () => string) {
    this.#authenticate = authenticate;
    this.#version = version;
  }

  /** By a function of the caller's, asked each time. */
  static of(authenticate: Authenticate): Gate {
    let asked = 0;
    return new Gate(authenticate, () => String(++asked));
  }

  /**
   * By a file that `htpasswd -B` wrote. It is read again when it has changed.
   *
   * @throws {@link ParseError} when it has lines of another kind.
   */
  static htpasswd(path: string): Gate {
    const file = new Htpasswd(path);
    return new Gate(
      (username, password) => file.check(username, password),
      () => file.version(),
    );
  }

  /** The name of whoever sent this header, `undefined` when nobody knows him. */
  async admit(authorization: string | undefined): Promise<string | undefined> {
    const encoded = /^Basic\s+([A-Za-z0-9+/=_-]+)\s*$/i.exec(authorization ?? '')?.[1];
    if (encoded === undefined) return undefined;
    const key = createHash('sha256').update(encoded).digest('base64');
    const version = this.#version();
    if (version !== this.#checkedAgainst) this.#known.clear();
    this.#checkedAgainst = version;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const text = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 0) return undefined;
    const username = text.slice(0, colon);
    if (!(await this.#authenticate(username, text.slice(colon + 1)))) return undefined;
    if (version === this.#checkedAgainst) this.#known.set(key, username);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(oldest);
    }
    return username;
  }
}

/** Somebody whom nobody knows takes as long to refuse as somebody with a wrong password. */
const NOBODY = '$2b$10$PxVls5kaPhWyboaIQl6oeOAmuYMfu4AGmcSOZ20dzgVdb7VW18p0a';

class Htpasswd {
  readonly #path: string;
  #version: string;
  #hashes: ReadonlyMap<string, string>;

  constructor(path: string) {
    this.#path = path;
    this.#version = this.version();
    this.#hashes = parse(path);
  }

  version(): string {
    const { mtimeMs, size, ino } = statSync(this.#path);
    return `${mtimeMs} ${size} ${ino}`;
  }

  async check(username: string, password: string): Promise<boolean> {
    const version = this.version();
    if (version !== this.#version) [this.#hashes, this.#version] = [parse(this.#path), version];
    const hash = this.#hashes.get(username);
    const { compare } = await import('bcryptjs');
    return (await compare(password, hash ?? NOBODY)) && hash !== undefined;
  }
}

function parse(path: string): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const [index, raw] of readFileSync(path, 'utf8').split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const hash = line.slice(colon + 1);
    if (colon < 1 || !/^\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}$/.test(hash)) {
      throw new ParseError({
        call: 'registryServer',
        source: path,
        line: index + 1,
        reason: 'is not NAME:HASH with a bcrypt hash',
        remedy: 'Make it with htpasswd -B',
      });
    }
    hashes.set(line.slice(0, colon), hash);
  }
  return hashes;
}
