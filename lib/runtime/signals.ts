/** Signals of Linux on x86-64 and arm64, by their numbers. */
const names: readonly string[] = [
  '',
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
];

const aliases: Readonly<Record<string, number>> = { SIGIOT: 6, SIGCLD: 17, SIGPOLL: 29 };
/** glibc keeps 32 and 33 for itself, so the first real-time signal that programs see is 34. */
const RTMIN = 34;
const RTMAX = 64;

/** What stops a container when neither its image nor the user says otherwise. */
export const DEFAULT_STOP_SIGNAL = 'SIGTERM';

/**
 * The number of a signal as images and users write it: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`, `RTMAX-1`.
 *
 * @throws `TypeError` when there is no such signal; `call` begins its message.
 */
export function signalNumber(signal: string | number, call = 'container.kill'): number {
  const number = typeof signal === 'number' ? signal : parse(signal.trim().toUpperCase());
  if (number !== undefined && Number.isInteger(number) && number >= 1 && number <= RTMAX) return number;
  throw new TypeError(
    `${call}: there is no signal ${JSON.stringify(signal)}; name one like SIGTERM or SIGRTMIN+3, or give its number (1 to ${RTMAX})`,
  );
}

/** Both the number and the name of a signal, however it was written. */
export function parseSignal(
  signal: string | number,
  call?: string,
): { readonly number: number; readonly name: NodeJS.Signals } {
  const number = signalNumber(signal, call);
  return { number, name: signalName(number) };
}

function parse(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  const name = text.startsWith('SIG') ? text : `SIG${text}`;
  const index = names.indexOf(name);
  return index > 0 ? index : (aliases[name] ?? realTime(name));
}

function realTime(name: string): number | undefined {
  const match = /^SIGRT(?:MIN(?:\+(\d+))?|MAX(?:-(\d+))?)$/.exec(name);
  if (match === null) return undefined;
  const number = name.startsWith('SIGRTMIN') ? RTMIN + Number(match[1] ?? 0) : RTMAX - Number(match[2] ?? 0);
  return number >= RTMIN ? number : undefined;
}

/** The name of a signal: `SIGTERM`, `SIGRTMIN+3`; for a number without a name, `SIG32`. */
export function signalName(number: number): NodeJS.Signals {
  const name =
    names[number] ??
    (number === RTMIN ? 'SIGRTMIN' : number > RTMIN && number <= RTMAX ? `SIGRTMIN+${number - RTMIN}` : undefined);
  // Node's type has no real-time signals, the kernel has.
  return (name === undefined || name === '' ? `SIG${number}` : name) as NodeJS.Signals;
}
