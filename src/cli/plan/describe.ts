import { opensToMore, type Action } from '../../reconcile/plan.js';
import { columns, filled } from '../text/columns.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Paint, type Style } from '../text/style.js';

/** Formats a plan for a terminal and for a pull request. */

type Change = Exclude<Action['kind'], 'keep'>;

/** Lines are no longer than this on a wide terminal. */
const MAX_WIDTH = 80;
const GAP = '  ';
/** Below the service, where a terminal is too narrow for both. */
const NARROW_INDENT = '   ';

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

/**
 * Formats each change: what, where visitors reach it, and its target. Uses more, indented lines if one is too narrow.
 */
export function planLines(actions: readonly Action[], style: Style, terminal = Infinity): string[] {
  const width = Math.min(terminal, MAX_WIDTH);
  const changes = changesOf(actions);
  const heads = columns(
    changes.map(({ kind, service }) => [SIGN[kind as Change], printable(service), kind, '']),
  );
  const indent = Math.max(0, ...heads.map((head) => head.length)) + GAP.length;
  const parts = changes.map((action) => [addressOf(action), `-> ${targetOf(action)}`, ...detailOf(action)]);
  const isNarrow = width < MAX_WIDTH && parts.flat().some((part) => indent + part.length > width);
  return changes.flatMap((action, index) => {
    const lines = isNarrow
      ? [
          heads[index]!,
          ...filled(parts[index]!, width - NARROW_INDENT.length, GAP).map((line) => NARROW_INDENT + line),
        ]
      : filled(parts[index]!, width - indent, GAP).map(
          (line, row) => (row === 0 ? heads[index]! : '').padEnd(indent) + line,
        );
    return lines.map((line) => paintOf(style, action)(line));
  });
}

/** Formats the plan as a Markdown table, for a comment on a pull request. */
export function planMarkdown(actions: readonly Action[]): string[] {
  const rows = changesOf(actions).map((action) =>
    [
      SIGN[action.kind as Change],
      action.service,
      action.kind,
      addressOf(action),
      targetOf(action),
      detailOf(action).join(' '),
    ]
      .map(markdownCell)
      .join(' | '),
  );
  const table = [
    '',
    '| | service | action | address | target | changes |',
    '|---|---|---|---|---|---|',
    ...rows.map((row) => `| ${row} |`),
  ];
  return [`**Portal plan:** ${summaryOf(actions)}`, ...(rows.length > 0 ? table : [])];
}

/** A chain's address names its first relay alone. */
function addressOf({ address, relay }: Action): string {
  return printable(relay.includes(',') ? `${address} (chain ${relayName(relay)})` : address);
}

function targetOf({ targets: [first = '', ...more] }: Action): string {
  return printable(more.length === 0 ? first : `${first} and ${more.length} more`);
}

const changesOf = (actions: readonly Action[]): Action[] => actions.filter(({ kind }) => kind !== 'keep');

const detailOf = (action: Action): string[] =>
  [action.changes.join(', '), opensToMore(action) ? WIDENS : '', heldText(action)].filter(Boolean);

function heldText({ heldWithoutRoute: count }: Action): string {
  if (count === undefined) return '';
  return count === 1 ? '! 1 held request loses its route' : `! ${count} held requests lose their route`;
}

const markdownCell = (text: string): string =>
  printable(text).replaceAll(/[\\`*_|<>[\]]/g, (each) => `\\${each}`);

function paintOf(style: Style, { kind }: Action): Paint {
  if (kind === 'open') return style.green;
  return kind === 'close' ? style.red : style.yellow;
}
