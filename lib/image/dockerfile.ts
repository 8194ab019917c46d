import { familiar } from './inspect.js';

/** What a Dockerfile is written from. */
export interface DockerfileSource {
  readonly id: string;
  /** In full. */
  readonly tags: readonly string[];
  /** The configuration, as JSON says it. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/**
 * Writes down how an image came about as a Dockerfile, as far as its history tells. What was copied into it is told by the
 * builder's own words, which name no files: it is for reading, not for building the same image again.
 */
export function toDockerfile({ id, tags, raw }: DockerfileSource): string {
  const history = Array.isArray(raw['history']) ? (raw['history'] as Record<string, unknown>[]) : [];
  const lines = history.map(step => instructionOf(text(step['created_by']), text(step['comment'])));
  const head = tags.length === 0 ? `# ${id}` : `# ${tags.map(familiar).join(', ')} (${id})`;
  return `${[head, 'FROM scratch', ...lines, ...unsaid(raw, lines)].join('\n')}\n`;
}

const WORDS =
  /^(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)\s/;

function instructionOf(createdBy: string, comment: string): string {
  const said = createdBy.replace(/\s*# buildkit$/, '').trim();
  if (said === '') return `# ${comment === '' ? 'a step that says nothing of itself' : oneLine(comment)}`;
  // The classic builder: `/bin/sh -c #(nop)  CMD ["sh"]`, and `|1 A=b /bin/sh -c make` where there were arguments.
  const nop = /^\/bin\/sh -c #\(nop\)\s+(.*)$/s.exec(said)?.[1];
  if (nop !== undefined) return wrap(nop.replace(/^(ADD|COPY) (?:file|dir|multi):\S+ in /, '$1 . '));
  const run = /^(?:\|\d+ .*? )?\/bin\/sh -c (.*)$/s.exec(said)?.[1];
  if (run !== undefined) return wrap(`RUN ${run.trim()}`);
  const buildkit = /^RUN (?:\|\d+ .*? )?\/bin\/sh -c (.*)$/s.exec(said)?.[1];
  if (buildkit !== undefined) return wrap(`RUN ${buildkit.trim()}`);
  return WORDS.test(said) ? wrap(said) : `# ${oneLine(said)}`;
}

/** One step a line, as people write it; a newline in the middle of an instruction would begin another. */
function wrap(instruction: string): string {
  return instruction
    .replace(/\s*\n\s*/g, ' ')
    .replace(/[ \t]+&&[ \t]+/g, ' \\\n && ')
    .replace(/\t+/g, ' ');
}

function oneLine(words: string): string {
  return words.replace(/\s+/g, ' ');
}

/** What the configuration has and no step of the history mentions. */
function unsaid(raw: Readonly<Record<string, unknown>>, lines: readonly string[]): string[] {
  const config = (raw['config'] ?? {}) as Record<string, unknown>;
  const says = (word: string): boolean => lines.some(line => line.startsWith(word));
  const list = (key: string): unknown[] => (Array.isArray(config[key]) ? (config[key] as unknown[]) : []);
  return [
    ...(says('ENV') ? [] : list('Env').map(pair => `ENV ${quotePair(String(pair))}`)),
    ...(says('WORKDIR') || text(config['WorkingDir']) === '' ? [] : [`WORKDIR ${text(config['WorkingDir'])}`]),
    ...(says('USER') || text(config['User']) === '' ? [] : [`USER ${text(config['User'])}`]),
    ...(says('ENTRYPOINT') || list('Entrypoint').length === 0
      ? []
      : [`ENTRYPOINT ${JSON.stringify(list('Entrypoint'))}`]),
    ...(says('CMD') || list('Cmd').length === 0 ? [] : [`CMD ${JSON.stringify(list('Cmd'))}`]),
  ];
}

function quotePair(pair: string): string {
  const at = pair.indexOf('=');
  return /[\s"'\\$]/.test(pair)
    ? `${pair.slice(0, at)}=${JSON.stringify(pair.slice(at + 1)).replaceAll('$', '\\$')}`
    : pair;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
