import { access } from 'node:fs/promises';
import { relayKey, type RelaySpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { loadLock, lockFileOf } from '../../config/files/lock.js';
import type { LockEntries } from '../../config/files/lock-file.js';
import type { Problem } from '../../config/text/problem.js';
import { listOf } from '../../config/words/suggest.js';
import { notAllowedYet } from '../allow/gate.js';
import type { Context } from '../context.js';
import type { Usable } from '../running/load-usable.js';
import type { AgentFindings } from './agent.js';
import { commandFor } from '../running/for-file.js';
import { variablesOfAgent, writeToDotenv } from '../running/unset-variables.js';
import { count, Subject } from './report.js';

/** Checks portal.yaml, and decides how much of it the other checks can use. */

export interface ConfigurationFindings {
  readonly subject: Subject;
  /** All mistakes; empty for a valid file, or if the running agent has the variables that are not set here. */
  readonly problems: readonly Problem[];
  /** The configuration without services that have mistakes; undefined if nothing is usable. */
  readonly desired: Desired | undefined;
  /** Whether the user has allowed everything that `desired` asks for. */
  readonly isAllowed: boolean;
  /** Entries of portal.lock; undefined for standard input, or if the lock is invalid. */
  readonly locked: LockEntries | undefined;
  /** Relays and services that the other checks skip, each with what to do first. */
  readonly unchecked: readonly Subject[];
}

const FIX = 'fix the mistakes in the configuration';

/** @param agent the agent that runs for the file */
export async function checkConfiguration(
  context: Context,
  { loaded, problems: found, broken }: Usable,
  agent: AgentFindings | undefined,
): Promise<ConfigurationFindings> {
  const subject = new Subject('configuration');
  const onlyHere = variablesOfAgent(agent?.status, found);
  const problems = onlyHere.length > 0 ? [] : found;
  for (const { message, hint, ...at } of problems)
    subject.problem('configuration.valid', `${at.file}:${at.line}:${at.column}: ${message}`, hint);
  if (onlyHere.length > 0) warnOfVariables(onlyHere, subject);
  const first = onlyHere.length > 0 ? `set ${listOf(onlyHere, 'and')}` : FIX;
  if (!loaded) {
    const unchecked = [skipped('relays and services', 'configuration.unchecked', first)];
    return { subject, problems, desired: undefined, isAllowed: false, locked: undefined, unchecked };
  }
  const { desired, warnings } = loaded;
  if (found.length === 0)
    subject.ok('configuration.valid', `${loaded.file}: ${count(desired.services.length, 'service')}`);
  for (const { message, hint } of warnings) subject.warning('configuration.valid', message, hint);
  const { fields } = await notAllowedYet(context, loaded);
  const notAllowed = fields.notAllowed ?? [];
  const allow = `\`${await commandFor(context, 'portal allow', desired.file)}\``;
  for (const asked of notAllowed)
    subject.warning('configuration.allowed', `not allowed yet: ${asked}`, `Run ${allow}.`);
  const isAllowed = notAllowed.length === 0;
  const unchecked = [
    ...(isAllowed ? [] : notReached(desired, `run ${allow}`)),
    ...broken.map((name) => skipped(`service ${name}`, 'service.unchecked', first)),
  ];
  const locked = await checkLock(desired, subject);
  return { subject, problems, desired, isAllowed, locked, unchecked };
}

function warnOfVariables(variables: readonly string[], subject: Subject): void {
  const names = listOf(variables, 'and');
  const what = variables.length === 1 ? `the variable ${names} is` : `the variables ${names} are`;
  const it = variables.length === 1 ? 'it' : 'them';
  subject.warning(
    'configuration.valid',
    `${what} not set in this shell; the running agent has ${it}`,
    writeToDotenv(variables),
  );
}

function skipped(about: string, check: string, first: string): Subject {
  const subject = new Subject(about);
  subject.skipped(check, first);
  return subject;
}

/** What `portal doctor` does not connect to before the user allows it. */
const notReached = (desired: Desired, first: string): Subject[] => [
  ...relaysOf(desired).map((spec) => skipped(`relay ${relayKey(spec)}`, 'relay.unchecked', first)),
  ...(desired.candidates ? [skipped('more relays', 'candidates.unchecked', first)] : []),
  ...desired.services.map(({ service }) => skipped(`service ${service}`, 'service.unchecked', first)),
];

/** Every relay of the configuration, without duplicates. */
export function relaysOf({ relays, services }: Desired): RelaySpec[] {
  const all = [...relays, ...services.flatMap((service) => service.relays)];
  return [...new Map(all.map((spec) => [relayKey(spec), spec])).values()];
}

/** The entries of portal.lock; undefined for standard input, or if the lock is invalid. */
async function checkLock(desired: Desired, subject: Subject): Promise<LockEntries | undefined> {
  if (desired.file === undefined) return undefined;
  const file = lockFileOf(desired.file);
  try {
    const entries = await loadLock(file);
    subject.ok('configuration.lock', await describeLock(file, entries));
    return entries;
  } catch (error) {
    subject.failed('configuration.lock', error);
    return undefined;
  }
}

async function describeLock(file: string, { size }: LockEntries): Promise<string> {
  if (size > 0) return `${file}: ${count(size, 'relay')}`;
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (isThere) return `${file}: it has no relay yet`;
  return `${file} does not exist yet: Portal creates it when it first connects to a relay with a URL`;
}
