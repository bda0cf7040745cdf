import { PortalError } from '../../lib/errors.js';
import { replaceFile } from '../../lib/private-file.js';
import { missingOf, notAllowed } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { controlPlace } from '../control/address.js';
import { isListening } from '../control/claim.js';
import { ConfigInvalid } from '../../library/config-invalid.js';
import { parseListenAddress } from '../listen-address.js';
import { load, loadOptions } from '../../library/load.js';
import { agentKey } from '../running/agent-key.js';
import { printEvent } from '../print.js';
import { configOf, installedUnit, type ServiceOptions } from '../service/find.js';
import { serviceManager, type ServiceManager } from '../service/manager.js';
import { checkReadable } from '../service/readable.js';
import { environmentOf, serviceSpec, type ServiceSpec } from '../service/spec.js';

interface Options extends ServiceOptions {
  readonly metrics?: string;
  readonly print?: true;
}

/** Private: the unit may contain the password of a proxy. */
const UNIT_MODE = 0o600;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const manager = serviceManager(context.env);
  if (options.metrics !== undefined) parseListenAddress(options.metrics);
  const spec = serviceSpec(await configOf(context, options), options, context);
  await checkConfiguration(context, spec, options.print);
  const { unit, file, env } = spec;
  const path = manager.path(unit);
  const text = manager.text(spec);
  if (options.print) {
    if (context.json) printEvent(context, 'service', { unit, path, file, text });
    else context.stdout.write(text);
    return 0;
  }
  const before = await installedUnit(manager, unit);
  if (before && before.file !== file)
    throw new PortalError('usage', `the service ${unit} already runs ${before.file}`, {
      hint: 'Choose another name: --name NAME.',
    });
  await needManager(manager, 'Portal wrote nothing.');
  await needNoOtherAgent(context, manager, spec);
  if (before?.text !== text) await replaceFile(path, text, UNIT_MODE);
  await manager.start(unit);
  const action = before === undefined ? 'installed' : before.text === text ? 'unchanged' : 'updated';
  const boot = await manager.bootHint();
  if (context.json) {
    printEvent(context, 'service', {
      unit,
      path,
      file,
      action,
      env: Object.keys(env),
      ...(boot && { boot }),
    });
    return 0;
  }
  const { stdout, stderr } = context;
  stdout.data(path);
  stderr.note(`${action} and started: ${unit} runs ${file}`);
  if (Object.keys(env).length > 0)
    stderr.note(`Variables copied from this shell: ${Object.keys(env).join(', ')}`);
  if (boot !== undefined) stderr.note(`To start it at boot, before you log in, run: ${boot}`);
  stderr.note(`Its output: ${manager.logs(unit)}`);
  stderr.note('Run `portal service install` again if Node or Portal moves.');
  return 0;
}

/** Loads the configuration with the variables that the service will have, without those of this shell. */
async function checkConfiguration(context: Context, spec: ServiceSpec, print = false): Promise<void> {
  const env = environmentOf(spec, context.env);
  try {
    const loaded = await load(loadOptions({ ...context, env }, spec.file));
    if (!print) await checkReadable(loaded.desired);
    const missing = print ? [] : await missingOf(context, loaded);
    if (missing.length > 0)
      throw await notAllowed(
        context,
        loaded,
        missing,
        'Run `portal allow` first: the service cannot ask you.',
      );
  } catch (error) {
    if (error instanceof ConfigInvalid && !context.json)
      context.stderr.note(
        'The service does not have the variables of this shell. Put them into .env next to the file.',
      );
    throw error;
  }
}

export async function needManager(manager: ServiceManager, consequence: string): Promise<void> {
  const why = await manager.absent();
  if (why === undefined) return;
  throw new PortalError(
    'service_manager_missing',
    `${manager.name} is not running for this user (${why}). ${consequence}`,
  );
}

/** Two agents cannot run the same file: the service would fail repeatedly. */
async function needNoOtherAgent(
  context: Context,
  manager: ServiceManager,
  { unit, file }: ServiceSpec,
): Promise<void> {
  const address = controlPlace(context.paths.runDir).address(await agentKey(file));
  if ((await manager.isActive(unit)) || !(await isListening(address))) return;
  throw new PortalError('already_running', `another agent is already running for ${file}`, {
    hint: 'Stop it with `portal down`, then install the service.',
  });
}
