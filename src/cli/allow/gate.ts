import { isAbsolute, relative } from 'node:path';
import type { Permission } from '../../config/permissions.js';
import type { LoadResult } from '../../config/load.js';
import { confine } from '../../lib/confined.js';
import { PortalError } from '../../lib/errors.js';
import { confirm } from '../confirm.js';
import type { Context, ExitCode } from '../context.js';
import type { Loaded } from '../load.js';
import { createStyle, printable } from '../style.js';
import { describeAsked, describePermissions, type Asked } from './describe.js';
import { AllowStore } from './store.js';

/** Of an error: the question itself shows all. */
const MAX_TOLD = 5;

/** Whether a configuration may do what it asks for. */
export interface Gate {
  /** Asks at a terminal; anywhere else throws `config_not_allowed`. Undefined: allowed, else how the command ends. */
  ask(loaded: Loaded): Promise<ExitCode | undefined>;
  /** A later save: as it is, or refused where it goes beyond what is allowed. */
  admit(result: LoadResult): Promise<LoadResult>;
  /** Files whose change may allow more. */
  inputs(loaded: Loaded): Promise<string[]>;
}

/** `yes`: everything is allowed for this run, as with `PORTAL_ALLOW=1`. */
export function createGate(context: Context, { yes }: { yes?: boolean | undefined }): Gate {
  const isOpen = yes === true || allowsEverything(context.env);
  const store = new AllowStore(context.paths.allowedDir);
  return {
    async ask(loaded) {
      if (isOpen) return undefined;
      const missing = await missingOf(context, loaded);
      if (missing.length > 0) {
        if (!canAsk(context) || loaded.desired.file === undefined) throw notAllowed(context, loaded, missing);
        const refused = await askPerson(context, store, loaded, missing);
        if (refused !== undefined) return refused;
      }
      confine(loaded.confined);
      return undefined;
    },
    async admit(result) {
      if (isOpen || !result.ok) return result;
      const missing = await missingOf(context, result);
      if (missing.length === 0) {
        confine(result.confined);
        return result;
      }
      return { ok: false, problems: result.refuse(missing), file: result.file, inputs: result.inputs };
    },
    async inputs({ desired }) {
      return isOpen || desired.file === undefined ? [] : [await store.recordFile(desired.file)];
    },
  };
}

const allowsEverything = (env: NodeJS.ProcessEnv): boolean => env['PORTAL_ALLOW'] === '1';

/** What `loaded` asks for and its user has not allowed. */
export function missingOf({ paths }: Pick<Context, 'paths'>, loaded: Loaded): Promise<Permission[]> {
  return new AllowStore(paths.allowedDir).missing(loaded.desired.file, loaded.permissions);
}

/** For commands that publish nothing: what `portal up` would ask, as lines and as a field of JSON. */
export async function notAllowedYet(
  context: Pick<Context, 'paths' | 'env'>,
  loaded: Loaded,
): Promise<{ lines: string[]; fields: { notAllowed?: string[] } }> {
  const missing = await missingNow(context, loaded);
  if (missing.length === 0) return { lines: [], fields: {} };
  const asked = describePermissions(missing);
  const lines = ['not allowed yet (portal allow):', ...asked.map((line) => `  ${line}`)];
  return { lines, fields: { notAllowed: asked } };
}

/** For commands that act on what a file names: relays, CAs, keys. Throws `config_not_allowed`. */
export async function needAllowed(context: Context, loaded: Loaded, hint: string): Promise<void> {
  if (allowsEverything(context.env)) return;
  const missing = await missingOf(context, loaded);
  if (missing.length > 0) throw notAllowed(context, loaded, missing, hint);
  confine(loaded.confined);
}

/** As `missingOf`; nothing where the environment allows everything. */
async function missingNow(context: Pick<Context, 'paths' | 'env'>, loaded: Loaded): Promise<Permission[]> {
  return allowsEverything(context.env) ? [] : missingOf(context, loaded);
}

/** Whether a person can answer. */
export function canAsk({ stdin, stderr, json }: Context): boolean {
  return (stdin as { isTTY?: boolean }).isTTY === true && stderr.isTTY && !json;
}

export function notAllowed(
  context: Pick<Context, 'cwd'>,
  loaded: Pick<Loaded, 'file'>,
  missing: readonly Permission[],
  hint?: string,
): PortalError {
  const lines = describePermissions(missing);
  const more = lines.length > MAX_TOLD ? [`and ${lines.length - MAX_TOLD} more`] : [];
  const what = [...lines.slice(0, MAX_TOLD), ...more].map((line) => `\n  ${line}`).join('');
  return new PortalError('config_not_allowed', `${shownFile(context, loaded)} is not allowed yet to${what}`, {
    ...(hint !== undefined && { hint }),
  });
}

/** Short where it is in the current folder or below. */
export function shownFile({ cwd }: Pick<Context, 'cwd'>, { file }: { readonly file: string }): string {
  const below = isAbsolute(file) ? relative(cwd, file) : file;
  return printable(below.startsWith('..') || isAbsolute(below) ? file : below);
}

/** What a question shows. */
export async function askedOf(
  store: AllowStore,
  { desired, permissions }: Loaded,
  missing: readonly Permission[],
): Promise<Asked> {
  const known = (await store.list()).flatMap((record) => record.permissions);
  return { desired, permissions, missing, known };
}

/** What is shown is what runs: `loaded` is not read again after the answer. */
async function askPerson(
  context: Context,
  store: AllowStore,
  loaded: Loaded,
  missing: readonly Permission[],
): Promise<ExitCode | undefined> {
  const { stderr } = context;
  const style = createStyle(stderr.color);
  stderr.line(`${style.bold(shownFile(context, loaded))} asks to`);
  for (const line of describeAsked(await askedOf(store, loaded, missing), style)) stderr.line(`  ${line}`);
  const answer = await confirm(context, 'Allow this? [y/N] ');
  if (answer === 'yes') {
    await store.add(loaded.file, missing);
    return undefined;
  }
  stderr.line('Nothing was started. To allow it later: portal allow');
  return answer === 'no' ? 2 : 130;
}
