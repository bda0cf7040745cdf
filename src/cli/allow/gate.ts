import { isAbsolute, relative } from 'node:path';
import type { Permission } from '../../config/permissions/permissions.js';
import type { LoadResult } from '../../config/load.js';
import { PortalError } from '../../lib/errors.js';
import { ERRORS } from '../../lib/error-codes.js';
import { confirm } from '../confirm.js';
import type { Context, ExitCode } from '../context.js';
import { commandFor, hintFor, hintsFor } from '../running/for-file.js';
import type { Gate } from '../../library/admission.js';
import type { Loaded } from '../../library/load.js';
import { createStyle, printable } from '../text/style.js';
import {
  describeRequest,
  describePermissions,
  shortPermissions,
  type PermissionRequest,
} from './describe.js';
import { shortText } from './short.js';
import { allowsEverything, Permits } from '../../library/allow/permits.js';
import { AllowStore } from '../../library/allow/store.js';

/** Permissions that an error lists; the question shows all. */
const MAX_LISTED = 5;

/**
 * Asks on a terminal, where a refusal is the exit code; elsewhere throws `config_not_allowed`.
 *
 * @param yes allow everything for this run, as with `PORTAL_ALLOW=1`
 */
export function createGate(context: Context, { yes }: { yes?: boolean | undefined }): Gate<ExitCode> {
  const permits = new Permits(context, yes === true);
  return {
    async ask(loaded) {
      const missing = await permits.missing(loaded);
      if (missing.length > 0) {
        if (!canAsk(context) || loaded.desired.file === undefined)
          throw await notAllowed(context, loaded, missing);
        const refused = await askUser(context, permits.store, loaded, missing);
        if (refused !== undefined) return refused;
      }
      permits.hold(loaded);
      return undefined;
    },
    admit: async (result) => withHints(context, await permits.admit(result)),
    inputs: (loaded) => permits.inputs(loaded),
  };
}

/** The permissions of `loaded` that its user has not allowed. */
export function missingOf({ paths }: Pick<Context, 'paths'>, loaded: Loaded): Promise<Permission[]> {
  return new AllowStore(paths.allowedDir).missing(loaded.desired.file, loaded.permissions);
}

/** The question of `portal up`, as lines and as a JSON field, for commands that publish nothing. */
export async function notAllowedYet(
  context: Pick<Context, 'paths' | 'env' | 'cwd'>,
  loaded: Loaded,
): Promise<{ lines: string[]; fields: { notAllowed?: string[] } }> {
  const missing = await missingNow(context, loaded);
  if (missing.length === 0) return { lines: [], fields: {} };
  const asked = describePermissions(missing);
  const allow = await commandFor(context, 'portal allow', loaded.desired.file);
  const lines = [`not allowed yet (${allow}):`, ...shortPermissions(missing).map((line) => `  ${line}`)];
  return { lines, fields: { notAllowed: asked } };
}

/** For commands that use relays, CAs or keys of a file. Throws `config_not_allowed`. */
export async function needAllowed(context: Context, loaded: Loaded, hint: string): Promise<void> {
  const permits = new Permits(context);
  const missing = await permits.missing(loaded);
  if (missing.length > 0) throw await notAllowed(context, loaded, missing, hint);
  permits.hold(loaded);
}

/** Like `missingOf`, but empty if the environment allows everything. */
async function missingNow(context: Pick<Context, 'paths' | 'env'>, loaded: Loaded): Promise<Permission[]> {
  return allowsEverything(context.env) ? [] : missingOf(context, loaded);
}

/** Whether a user can answer a question. */
export function canAsk({ stdin, stderr, json }: Context): boolean {
  return (stdin as { isTTY?: boolean }).isTTY === true && stderr.isTTY && !json;
}

/** @param hint its commands get `-f FILE` where they need it */
export async function notAllowed(
  context: Pick<Context, 'cwd' | 'env'>,
  loaded: Pick<Loaded, 'file'>,
  missing: readonly Permission[],
  hint: string = ERRORS.config_not_allowed.remedy,
): Promise<PortalError> {
  const lines = shortPermissions(missing);
  const more = lines.length > MAX_LISTED ? [`and ${lines.length - MAX_LISTED} more`] : [];
  const what = [...lines.slice(0, MAX_LISTED), ...more].map((line) => `\n  ${line}`).join('');
  return new PortalError('config_not_allowed', `${shownFile(context, loaded)} is not allowed yet to${what}`, {
    hint: await hintFor(context, hint, loaded.file),
  });
}

async function withHints(context: Context, result: LoadResult): Promise<LoadResult> {
  if (result.ok) return result;
  const hinted = await hintsFor(context, result.file);
  const problems = result.problems.map((problem) =>
    problem.hint === undefined ? problem : { ...problem, hint: hinted(problem.hint) },
  );
  return { ...result, problems };
}

/** The path, relative if it is in the current folder or below. */
export function shownFile({ cwd }: Pick<Context, 'cwd'>, { file }: { readonly file: string }): string {
  const below = isAbsolute(file) ? relative(cwd, file) : file;
  return printable(below.startsWith('..') || isAbsolute(below) ? file : below);
}

/** The content of a question. */
export async function permissionRequest(
  store: AllowStore,
  { desired, permissions }: Loaded,
  missing: readonly Permission[],
): Promise<PermissionRequest> {
  const known = (await store.list()).flatMap((record) => record.permissions);
  return { desired, permissions, missing, known };
}

/** Runs the configuration that the question shows: does not read the file again after the answer. */
async function askUser(
  context: Context,
  store: AllowStore,
  loaded: Loaded,
  missing: readonly Permission[],
): Promise<ExitCode | undefined> {
  const { stderr } = context;
  const style = createStyle(stderr.color);
  stderr.line(`${style.bold(shortText(shownFile(context, loaded)))} asks to`);
  for (const line of describeRequest(await permissionRequest(store, loaded, missing), style))
    stderr.line(`  ${line}`);
  const answer = await confirm(context, 'Allow this? [y/N] ');
  if (answer === 'yes') {
    await store.add(loaded.file, missing);
    return undefined;
  }
  const allow = await commandFor(context, 'portal allow', loaded.file);
  stderr.line(`Portal started nothing. To allow it later, run: ${allow}`);
  return answer === 'no' ? 2 : 130;
}
