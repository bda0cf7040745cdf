import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { covers } from '../../certificates/local-names.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { loadConfig } from '../../config/load.js';
import type { Desired } from '../../config/desired.js';
import { loadIdentity } from '../../identity/file.js';
import { PortalError } from '../../lib/errors.js';
import { formatTarget, parseTarget } from '../../net/target.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { derivedName } from '../derived-name.js';
import { createReporter } from '../reporters/create.js';
import { refuseUnsupported } from '../unsupported.js';

interface Options {
  readonly name?: string;
  readonly relay?: readonly string[];
  readonly ca?: string;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  refuseUnsupported('expose', options);
  const desired = await desiredOf(context, readTarget(args[0], context.cwd), options);
  const { runAgent } = await import('../run-agent.js');
  return runAgent(context, {
    key: { pid: process.pid },
    file: null,
    desired,
    reporter: await createReporter(context),
    select: (same) => same,
  });
}

/** The target as a configuration would say it, with an absolute path. */
function readTarget(text: string | undefined, cwd: string): string {
  if (text === undefined) {
    throw new PortalError('usage', 'which service? Name its target', {
      hint: 'For example: portal expose 3000',
    });
  }
  try {
    const target = parseTarget(text);
    return formatTarget(target.kind === 'unix' ? { ...target, path: resolve(cwd, target.path) } : target);
  } catch (error) {
    if (error instanceof RangeError) throw new PortalError('usage', error.message, { cause: error });
    throw error;
  }
}

/** A configuration of one service, held to the rules of any other. */
async function desiredOf(context: Context, target: string, options: Options): Promise<Desired> {
  if (options.ca !== undefined && !options.relay) {
    throw new PortalError('usage', '--ca is the CA of a relay: name that with --relay');
  }
  const name = options.name ?? (await nameOf(context, target));
  const document = {
    version: 1,
    ...(options.relay && {
      relays: { urls: await Promise.all(options.relay.map((url) => relayEntry(context, url, options.ca))) },
    }),
    services: { [name]: target },
  };
  const result = await loadConfig({
    file: '-',
    cwd: context.cwd,
    env: context.env,
    // JSON is YAML. What was typed is meant as it stands: no variables.
    stdin: () => Promise.resolve(JSON.stringify(document).replaceAll('$', '$$$$')),
  });
  if (result.ok) return result.desired;
  const { code, message, hint } = result.problems[0]!;
  throw new PortalError(
    code === 'config_invalid' ? 'usage' : code,
    message,
    hint === undefined ? {} : { hint },
  );
}

async function nameOf({ paths }: Context, target: string): Promise<string> {
  const { address } = await loadIdentity(paths.identityFile, { create: true });
  return derivedName(createHash('sha256').update(`${address} ${target}`).digest());
}

/** A relay on this machine or its network can only have a certificate of the local CA. */
async function relayEntry(
  { paths, cwd }: Context,
  url: string,
  ca: string | undefined,
): Promise<string | { url: string; ca: string }> {
  if (ca !== undefined) return { url, ca: resolve(cwd, ca) };
  if (!URL.canParse(url) || !covers(new URL(url).hostname)) return url;
  const { certificateFile } = await openLocalCa(paths.caDir);
  return { url, ca: certificateFile };
}
