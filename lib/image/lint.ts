import type { LayerRecord } from './record.js';

/** Something in an image's configuration that its author may want to know of. */
export interface LintFinding {
  /** What was looked for: stable, to be ignored by. */
  readonly rule:
    | 'runs-as-root'
    | 'no-command'
    | 'relative-workdir'
    | 'secret-in-env'
    | 'duplicate-env'
    | 'shell-entrypoint-ignores-command'
    | 'unknown-stop-signal'
    | 'created-in-the-future'
    | 'no-history'
    | 'too-many-layers'
    | 'secret-in-history';
  readonly severity: 'error' | 'warning' | 'info';
  readonly message: string;
}

/** More than overlayfs in Docker stacks. */
const MAX_LAYERS = 127;
const SECRET = /(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?)(?:$|_)/i;

/** Looks at an image's configuration for what is legal and yet seldom meant. */
export function lintImage(
  raw: Readonly<Record<string, unknown>>,
  layers: readonly LayerRecord[],
): readonly LintFinding[] {
  const config = (raw['config'] ?? {}) as Record<string, unknown>;
  const list = (key: string): string[] =>
    Array.isArray(config[key]) ? (config[key] as unknown[]).filter(item => typeof item === 'string') : [];
  const [user, workdir, signal] = ['User', 'WorkingDir', 'StopSignal'].map(key => String(config[key] ?? ''));
  const [entrypoint, command, env] = [list('Entrypoint'), list('Cmd'), list('Env')];
  const names = env.map(pair => pair.split('=', 1)[0] ?? '');
  const history = Array.isArray(raw['history']) ? (raw['history'] as Record<string, unknown>[]) : [];
  const findings: (LintFinding | false)[] = [
    /^(?:|0|root)(?::.*)?$/.test(user ?? '') && {
      rule: 'runs-as-root',
      severity: 'warning',
      message: 'its processes run as root: set USER',
    },
    entrypoint.length + command.length === 0 && {
      rule: 'no-command',
      severity: 'info',
      message: 'it has neither an entrypoint nor a command, so each run has to say one',
    },
    workdir !== '' &&
      workdir?.startsWith('/') === false && {
        rule: 'relative-workdir',
        severity: 'error',
        message: `its working directory ${JSON.stringify(workdir)} is not absolute`,
      },
    ...env.map(
      (pair, i): LintFinding | false =>
        SECRET.test(names[i] ?? '') &&
        pair.length > (names[i] ?? '').length + 1 && {
          rule: 'secret-in-env',
          severity: 'error',
          message: `its environment has ${names[i]}: everybody who can pull it can read that`,
        },
    ),
    ...[...new Set(names.filter((name, i) => names.indexOf(name) < i))].map((name): LintFinding => ({
      rule: 'duplicate-env',
      severity: 'warning',
      message: `its environment has ${name} more than once; the last one counts`,
    })),
    entrypoint[0] === '/bin/sh' &&
      entrypoint[1] === '-c' &&
      command.length > 0 && {
        rule: 'shell-entrypoint-ignores-command',
        severity: 'warning',
        message: 'its entrypoint is a line for the shell, which does not pass the command on: write it as a list',
      },
    signal !== '' &&
      !/^(?:SIG)?(?:[A-Z]+[12]?|RTM(?:IN|AX)(?:[+-]\d+)?)$|^\d{1,2}$/.test(signal ?? '') && {
        rule: 'unknown-stop-signal',
        severity: 'error',
        message: `its stop signal ${JSON.stringify(signal)} is none`,
      },
    new Date(String(raw['created'] ?? 0)).getTime() > Date.now() + 86_400_000 && {
      rule: 'created-in-the-future',
      severity: 'warning',
      message: `it says that it was made at ${String(raw['created'])}`,
    },
    history.length === 0 &&
      layers.length > 0 && {
        rule: 'no-history',
        severity: 'info',
        message: 'it says nothing of how it came about',
      },
    layers.length > MAX_LAYERS && {
      rule: 'too-many-layers',
      severity: 'warning',
      message: `it has ${layers.length} layers, and Docker stacks ${MAX_LAYERS}`,
    },
    ...history.map(
      ({ created_by: by }): LintFinding | false =>
        typeof by === 'string' &&
        /(?:--password[= ]|Authorization: |PASSWORD=|TOKEN=|SECRET=)\S/i.test(by) && {
          rule: 'secret-in-history',
          severity: 'error',
          message: `a step of its history seems to have a secret in it: ${by.slice(0, 60).replace(/\s+/g, ' ')}…`,
        },
    ),
  ];
  return findings.filter(finding => finding !== false);
}
