import { findConfig } from '../../config/files/find.js';
import { PortalError } from '../../lib/errors.js';
import { describeRequest, describePermissions, shortPermissions } from '../allow/describe.js';
import { permissionRequest, shownFile } from '../allow/gate.js';
import { AllowStore, type Allowed } from '../../library/allow/store.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { controlPlace } from '../control/address.js';
import { isListening } from '../control/claim.js';
import { agentKey } from '../running/agent-key.js';
import { commandFor } from '../running/for-file.js';
import { load, loadOptions } from '../../library/load.js';
import { printEvent } from '../print.js';
import { createStyle, printable } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly list?: true;
  readonly revoke?: true;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const store = new AllowStore(context.paths.allowedDir);
  if (options.list) return list(context, store);
  return options.revoke ? revoke(context, store, options.file) : allow(context, store, options.file);
}

async function allow(context: Context, store: AllowStore, file: string | undefined): Promise<ExitCode> {
  const loaded = await load(loadOptions(context, file));
  const { desired, permissions } = loaded;
  if (desired.file === undefined) throw needsFile();
  const asked = await permissionRequest(store, loaded, await store.missing(desired.file, permissions));
  if (permissions.length > 0) await store.add(desired.file, permissions);
  if (context.json) {
    printEvent(context, 'allowed', { file: desired.file, permissions: described(permissions) });
    return 0;
  }
  const { stderr } = context;
  const style = createStyle(stderr.color);
  const name = style.bold(shownFile(context, loaded));
  if (permissions.length === 0) stderr.note(`${name} needs no permission`);
  else {
    stderr.note(`${name} may`);
    for (const line of describeRequest(asked, style)) stderr.note(`  ${line}`);
    const before = permissions.filter((each) => !asked.missing.includes(each) && each.kind !== 'relay');
    for (const line of shortPermissions(before)) stderr.note(`  ${line}`);
    if (asked.missing.length > 0 && (await isRunning(context, desired.file)))
      stderr.note('The running agent applies the file now.');
    stderr.note(`To withdraw this, run: ${await commandFor(context, 'portal allow --revoke', desired.file)}`);
  }
  return 0;
}

/** Whether an agent runs for `file`. It watches the permissions. */
async function isRunning({ paths }: Context, file: string): Promise<boolean> {
  return isListening(controlPlace(paths.runDir).address(await agentKey(file)));
}

async function list(context: Context, store: AllowStore): Promise<ExitCode> {
  const records = await store.list();
  if (context.json) {
    for (const { file, allowedAt, permissions } of records)
      printEvent(context, 'allowed', { file, allowedAt, permissions: described(permissions) });
    return 0;
  }
  const { bold, dim } = createStyle(context.stdout.color);
  for (const { file, permissions } of records) {
    context.stdout.line(bold(printable(file)));
    const earlier = permissions.filter((each, index) => isEarlier(each, permissions.slice(0, index)));
    for (const line of shortPermissions(permissions.filter((each) => !earlier.includes(each))))
      context.stdout.line(`  ${line}`);
    for (const line of shortPermissions(earlier)) context.stdout.line(dim(`  ${line} (allowed earlier)`));
  }
  if (records.length === 0) context.stderr.note('No configuration has permissions yet.');
  return 0;
}

/** Whether the same relay was allowed later, with another CA. */
const isEarlier = ({ kind, what }: Allowed, later: readonly Allowed[]): boolean =>
  kind === 'relay' && later.some((other) => other.kind === kind && other.what === what);

async function revoke(context: Context, store: AllowStore, named: string | undefined): Promise<ExitCode> {
  const found = await findConfig({ file: named, cwd: context.cwd, env: context.env });
  if (found.kind !== 'file') throw needsFile();
  const name = shownFile(context, { file: found.path });
  const isRevoked = await store.revoke(found.path);
  if (context.json) printEvent(context, 'revoked', { file: found.path, revoked: isRevoked });
  else if (isRevoked)
    context.stderr.note(
      `withdrew the permissions of ${name}. To stop a running agent, run: ${await commandFor(context, 'portal down', found.path)}`,
    );
  else context.stderr.note(`${name} had no permissions.`);
  return 0;
}

const described = (permissions: Parameters<typeof describePermissions>[0]): string[] =>
  describePermissions(permissions);

const needsFile = (): PortalError =>
  new PortalError('usage', 'Portal cannot remember permissions for standard input, because it has no path', {
    hint: 'For one run, use `portal up --yes -f -`.',
  });
