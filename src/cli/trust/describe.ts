import { SIGNS } from '../text/signs.js';
import type { Style } from '../text/style.js';
import { printable } from '../text/style.js';
import type { Change, StoreReport } from './change.js';
import { commandText } from '../programs.js';

/** Formats the state of a store, and what the user has to do. */
export function describeStore(report: StoreReport, style: Style): string[] {
  const { store, message, hint } = report;
  return [
    `${sign(report, style)} ${style.bold(printable(store.name))} ${style.dim(printable(store.path))}`,
    `    ${printable(stateOf(report))}${message === undefined ? '' : `: ${printable(message)}`}`,
    ...(hint === undefined ? [] : [`    ${printable(hint)}`]),
  ];
}

/** The commands that are left for the user, one per line. */
export function commandLines(report: StoreReport, change: Change | undefined): string[] {
  const isLeft = change === undefined ? report.state.trusted === false : needsHand(report);
  const commands = isLeft ? report.store.commands[change ?? 'install'] : [];
  return commands.map((command) => `      ${printable(commandText(command))}`);
}

/** Summarizes a report for JSON. */
export function summarizeStore({ store, state, outcome, isCreated, message, hint }: StoreReport): object {
  const { kind, name, path, exists, commands } = store;
  return {
    store: kind,
    name,
    path,
    exists: exists || isCreated === true,
    trusted: state.trusted ?? null,
    ...(outcome && { action: outcome }),
    ...(isCreated && { created: true }),
    ...(message !== undefined && { message }),
    ...(hint !== undefined && { hint }),
    commands,
  };
}

function sign({ state, outcome }: StoreReport, { green, yellow, red }: Style): string {
  if (outcome === 'failed') return red(SIGNS.problem);
  if (outcome === 'skipped' || state.trusted === undefined) return yellow(SIGNS.warning);
  return outcome !== undefined || state.trusted ? green(SIGNS.ok) : red(SIGNS.problem);
}

function stateOf({ store, state, outcome, isCreated }: StoreReport): string {
  if (outcome === 'installed') return isCreated ? 'created the store, and installed the CA' : 'installed';
  if (outcome === 'removed') return 'removed';
  if (outcome === 'unchanged') return state.trusted ? 'already trusts the CA' : 'does not contain the CA';
  if (outcome !== undefined) return outcome;
  if (state.trusted === undefined) return 'unknown';
  if (state.trusted) return 'trusts the CA';
  return store.exists ? 'does not trust the CA' : 'does not exist yet; --install creates it';
}

const needsHand = ({ outcome }: StoreReport): boolean => outcome === 'skipped' || outcome === 'failed';
