import type { Action } from '../../reconcile/plan.js';
import { columns } from '../print.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Paint, type Style } from '../style.js';

/** Formats a plan for a terminal and for a pull request. */

type Change = Exclude<Action['kind'], 'keep'>;

const SIGN: Readonly<Record<Change, string>> = { open: '+', update: '~', replace: '±', close: '-' };

/** Marks a change that opens an existing service to more people. */
const WIDENS = '! opens to more people';

/** `2 to open, 1 to update in place, 0 to close`. */
export function summaryOf(actions: readonly Action[]): string {
  const count = (kind: Action['kind']): number => actions.filter((action) => action.kind === kind).length;
  const changes = [
    `${count('open')} to open`,
    `${count('update')} to update in place`,
    ...(count('replace') > 0 ? [`${count('replace')} to replace`] : []),
    `${count('close')} to close`,
  ];
  const kept = count('keep') > 0 ? `${count('keep')} unchanged` : '';
  const what = changesOf(actions).length > 0 ? changes.join(', ') : 'nothing to change';
  return [what, kept].filter(Boolean).join('; ');
}

/** Formats one line for each change. */
export function planLines(actions: readonly Action[], style: Style): string[] {
  const changes = changesOf(actions);
  const rows = changes.map((action) => [
    SIGN[action.kind as Change],
    action.service,
    action.kind,
    relayName(action.relay),
    detailOf(action).join('  '),
  ]);
  return columns(rows).map((line, index) => paintOf(style, changes[index]!)(line));
}

/** Formats the plan as a Markdown table, for a comment on a pull request. */
export function planMarkdown(actions: readonly Action[]): string[] {
  const rows = changesOf(actions).map((action) =>
    [
      SIGN[action.kind as Change],
      action.service,
      action.kind,
      relayName(action.relay),
      detailOf(action).join(' '),
    ]
      .map(markdownCell)
      .join(' | '),
  );
  const table = [
    '',
    '| | service | action | relay | changes |',
    '|---|---|---|---|---|',
    ...rows.map((row) => `| ${row} |`),
  ];
  return [`**Portal plan:** ${summaryOf(actions)}`, ...(rows.length > 0 ? table : [])];
}

const changesOf = (actions: readonly Action[]): Action[] => actions.filter(({ kind }) => kind !== 'keep');

const detailOf = (action: Action): string[] =>
  [action.changes.join(', '), widens(action) ? WIDENS : ''].filter(Boolean);

/** A new service has its own sign, so this is false for it. */
const widens = ({ kind, exposes, changes }: Action): boolean =>
  exposes && (kind === 'update' || (kind === 'replace' && changes.includes('access')));

const markdownCell = (text: string): string =>
  printable(text).replaceAll(/[\\`*_|<>[\]]/g, (each) => `\\${each}`);

function paintOf(style: Style, { kind }: Action): Paint {
  if (kind === 'open') return style.green;
  return kind === 'close' ? style.red : style.yellow;
}
