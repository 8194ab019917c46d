import { InvalidStateError } from '../errors.js';
import type { State } from './state.js';

type Name = State['name'];

/** What can be asked of a container. */
export type Operation =
  | 'start'
  | 'stop'
  | 'restart'
  | 'kill'
  | 'pause'
  | 'unpause'
  | 'wait'
  | 'remove'
  | 'removeForced'
  | 'exec'
  | 'attach'
  | 'logs'
  | 'rename'
  | 'update'
  | 'top'
  | 'stats'
  | 'copy'
  | 'changes'
  | 'export'
  | 'commit'
  | 'inspect';

/** `do`: it is carried out. `nothing`: there is nothing to be done, and that is a success. `refuse`: InvalidStateError. */
export type Answer = 'do' | 'nothing' | 'refuse';

/** The states in the order of the table's columns. */
export const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;

/**
 * The one place that says what may be done with a container in which state; as Docker Engine 28 answers,
 * but that `stop` and `wait` tell how it ended, and so refuse where it never ran; the command line makes a success of that.
 * `+` do, `0` nothing, `-` refuse. docs/lifecycle.md shows it.
 */
const table: Readonly<Record<Operation, string>> = {
  //            created running paused restarting removing exited dead
  start: /*      */ '+ 0 - 0 - + -',
  stop: /*       */ '- + + + - 0 -',
  restart: /*    */ '+ + + + - + -',
  kill: /*       */ '- + + + - - -',
  pause: /*      */ '- + - - - - -',
  unpause: /*    */ '- - + - - - -',
  wait: /*       */ '- + + + - 0 -',
  remove: /*     */ '+ - - - - + +',
  removeForced: /**/ '+ + + + - + +',
  exec: /*       */ '- + - - - - -',
  attach: /*     */ '- + - - - - -',
  logs: /*       */ '+ + + + - + -',
  rename: /*     */ '+ + + + + + +',
  update: /*     */ '+ + + + - + -',
  top: /*        */ '- + + - - - -',
  stats: /*      */ '+ + + + + + +',
  copy: /*       */ '+ + + + + + +',
  changes: /*    */ '+ + + + + + +',
  export: /*     */ '+ + + + - + -',
  commit: /*     */ '+ + + + - + -',
  inspect: /*    */ '+ + + + + + +',
};

/** What an operation comes to in a state. */
export function answerTo(operation: Operation, state: Name): Answer {
  const mark = table[operation].split(' ')[states.indexOf(state)];
  return mark === '+' ? 'do' : mark === '0' ? 'nothing' : 'refuse';
}

/**
 * Asks whether an operation is to be carried out.
 *
 * @returns `false` when there is nothing to do.
 * @throws {@link InvalidStateError} when the state does not allow it.
 */
export function permit(
  operation: Operation,
  state: State,
  about: { readonly call: string; readonly ref: string },
): boolean {
  const answer = answerTo(operation, state.name);
  if (answer !== 'refuse') return answer === 'do';
  const remedy = remedies[`${operation} ${state.name}`] ?? remedies[state.name];
  throw new InvalidStateError({
    ...about,
    kind: 'container',
    state: state.name,
    expected: states.filter(name => answerTo(operation, name) === 'do'),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

const remedies: Readonly<Record<string, string>> = {
  'start paused': 'It runs, but stands still: unpause it',
  'pause paused': 'It is paused already',
  'exec paused': 'Unpause it first',
  'attach paused': 'Unpause it first',
  'remove running': 'Stop it first, or pass force: true',
  'remove paused': 'Unpause and stop it first, or pass force: true',
  'remove restarting': 'Stop it first, or pass force: true',
  restarting: 'Wait until it runs again',
  removing: 'Its removal is under way',
  dead: 'Its removal has failed: remove it once more',
};
