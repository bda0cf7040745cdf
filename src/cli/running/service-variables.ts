import { portalVariables } from '../../agent/commands/environment.js';
import { commandsOf, type NamedCommand } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { withActualPort } from '../../reconcile/relays/embedded.js';
import { serviceUrls } from '../../reconcile/service-urls.js';
import { needAllowed } from '../allow/gate.js';
import { askAgent } from './ask-agent.js';
import type { Context } from '../context.js';
import type { Loaded } from '../../library/load.js';
import { checkServices } from '../../library/unknown-service.js';

/**
 * The variables that the command of a service gets from Portal: those for `name`, a service or a command such as `app/api`.
 * Without a name, only the URLs of all services. If an agent runs for the file, URLs and ports are its own.
 *
 * Throws `config_not_allowed` if the variables are those of a command that the user has not allowed.
 */
export async function serviceVariables(
  context: Context,
  loaded: Loaded,
  name: string | undefined,
): Promise<Record<string, string>> {
  const status = await askAgent(context, loaded.desired, (agent) => agent.status());
  const desired = withActualPort(loaded.desired, status?.relays ?? []);
  const urls = serviceUrls(desired, status?.leases ?? []);
  if (name === undefined) return portalVariables(urls);
  const own = commandNamed(desired, name);
  if (!own) {
    const { service, target } = serviceNamed(desired, name);
    return portalVariables(urls, { service, target });
  }
  await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  const port = status?.commands?.find((each) => each.name === own.name)?.port;
  const isChosen = own.target.kind === 'tcp' && own.target.port === 0;
  const target = isChosen && port !== undefined ? { ...own.target, port } : own.target;
  const { env, envFile = {} } = own.command;
  const unset = Object.entries(envFile).filter(([each]) => context.env[each] === undefined);
  return { ...Object.fromEntries(unset), ...portalVariables(urls, { service: own.service, target }), ...env };
}

function commandNamed({ services }: Desired, name: string): NamedCommand | undefined {
  return services.flatMap(commandsOf).find((each) => each.name === name);
}

function serviceNamed({ services }: Desired, name: string) {
  checkServices(
    [name],
    services.map(({ service }) => service),
    'the configuration',
  );
  return services.find(({ service }) => service === name)!;
}
