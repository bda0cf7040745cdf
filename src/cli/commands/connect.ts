import { checksummed, isAddress, isMistyped } from '../../lib/eip55.js';
import { loadIdentity } from '../../identity/file.js';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import { withActualPort } from '../../reconcile/relays/embedded.js';
import { canAsk, needAllowed } from '../allow/gate.js';
import { confirm } from '../confirm.js';
import { UnknownAgent, PlaceConnector, type Expected } from '../connect/connection.js';
import { forward } from '../connect/forward.js';
import { knownAgent, rememberAgent } from '../connect/known-agents.js';
import { isHostname, placeIn, placeOf, type Place } from '../connect/places.js';
import { overStdio } from '../connect/stdio.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { usage } from '../expose-services.js';
import { exitOfSignal, listenForInterrupts } from '../interrupts.js';
import { findAgent } from '../running/find-agent.js';
import { identityFile } from '../identity-file.js';
import { load, loadOptions } from '../../library/load.js';
import { printEvent } from '../print.js';
import { printable } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly port?: number;
  readonly stdio?: true;
  readonly identity?: string;
}

/** How often the same failure of local connections is printed. */
const AGAIN_MS = 60_000;

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  rejectSeveral(args, options);
  const places = await placesOf(context, args, options.file);
  const identity = await ownIdentity(context, options.file);
  const interrupts = listenForInterrupts();
  const ending = new AbortController();
  const signal = AbortSignal.any([interrupts.signal, context.stdout.closed, ending.signal]);
  try {
    const connectors = await Promise.all(
      places.map(
        async (place) => new PlaceConnector(place, identity, await expectedFor(context, place, options)),
      ),
    );
    if (options.stdio) {
      const [connector] = connectors as [PlaceConnector];
      const { socket, agent } = await connector.open('connect', signal);
      await remember(context, connector, agent, options);
      await overStdio(context, socket, signal);
      return 0;
    }
    for (const connector of connectors) {
      const agent = await verify(context, connector, signal);
      await remember(context, connector, agent, options);
      const port = await forward(connector, {
        port: options.port,
        onFailed: failures(context, connector),
        signal,
      });
      announce(context, connector.place, { port, agent, identity: identity.address });
    }
    if (!context.json) context.stderr.note('press Ctrl-C to stop');
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (!context.json && interrupts.signal.aborted)
      context.stderr.note(`stopped: ${String(interrupts.signal.reason)}`);
    return 0;
  } catch (error) {
    const code = exitOfSignal(interrupts.signal.reason);
    if (code !== undefined) return code;
    throw error;
  } finally {
    ending.abort();
    interrupts.dispose();
  }
}

function rejectSeveral({ length }: readonly string[], { port, stdio, identity }: Options): void {
  if (port !== undefined && stdio) throw usage('--port cannot be used with --stdio');
  if (length > 1 && (port !== undefined || stdio))
    throw usage(
      `${stdio ? '--stdio' : '--port'} needs a single service`,
      'Run one command for each service.',
    );
  if (identity !== undefined && (!isAddress(identity) || isMistyped(identity)))
    throw usage(
      `--identity: ${JSON.stringify(identity)} is not the address of an identity`,
      'Copy it again: 0x and 40 hex digits. `portal identity` prints it on the machine of the owner.',
    );
}

async function placesOf(
  context: Context,
  args: readonly string[],
  file: string | undefined,
): Promise<Place[]> {
  if (args.every(isHostname)) return args.map(placeOf);
  const loaded = await load(loadOptions(context, file));
  await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  let { desired } = loaded;
  const isEmbedded = desired.services.some(({ relays }) => relays.some(({ kind }) => kind === 'embedded'));
  // The relay of an agent on this machine may have another port.
  if (isEmbedded) desired = withActualPort(desired, await relaysHere(context, file));
  return args.map((word) => (isHostname(word) ? placeOf(word) : placeIn(desired, word)));
}

async function relaysHere(context: Context, file: string | undefined) {
  try {
    return (await (await findAgent(context, { file })).status()).relays;
  } catch (error) {
    if (error instanceof PortalError) return [];
    throw error;
  }
}

async function ownIdentity(context: Context, file: string | undefined): Promise<Identity> {
  const path = await identityFile(context, file);
  return loadIdentity(path, {
    create: true,
    onCreated: ({ address }) =>
      context.stderr.note(
        `created your identity ${address} in ${path}; give this address to the owner of the service`,
      ),
  });
}

async function expectedFor(
  { paths }: Context,
  { hostname, owner, service }: Place,
  { identity }: Options,
): Promise<Expected> {
  if (identity !== undefined) return { address: checksummed(identity), by: '--identity' };
  if (owner !== undefined)
    return { address: checksummed(owner), by: `\`identity\` of ${service} in portal.yaml` };
  const known = await knownAgent(paths.knownAgentsFile, hostname);
  return known === undefined ? { address: undefined } : { address: known, by: paths.knownAgentsFile };
}

/** Asks the agent whether the identity may connect. Resolves with the agent's address. */
async function verify(context: Context, connector: PlaceConnector, signal: AbortSignal): Promise<string> {
  const check = async (): Promise<string> => {
    const { socket, agent } = await connector.open('check', signal);
    socket.destroy();
    return agent;
  };
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof UnknownAgent) || !canAsk(context)) throw error;
    context.stderr.line(`${error.message}.`);
    if ((await confirm(context, 'Did the owner give you this address? [y/N] ')) !== 'yes') throw error;
    connector.expected = { address: error.agent };
    const agent = await check();
    await rememberAgent(context.paths.knownAgentsFile, connector.place.hostname, agent);
    return agent;
  }
}

/** The user has named the agent, so it need not be named again. */
async function remember(
  { paths }: Context,
  { place }: PlaceConnector,
  agent: string,
  { identity }: Options,
): Promise<void> {
  if (identity === undefined || place.owner !== undefined) return;
  await rememberAgent(paths.knownAgentsFile, place.hostname, agent);
}

/** Prints why local connections fail, the same reason once a minute. */
function failures(context: Context, { place }: PlaceConnector): (error: PortalError) => void {
  let last = { message: '', at: 0 };
  return ({ code, message, hint }) => {
    const at = performance.now();
    if (message === last.message && at - last.at < AGAIN_MS) return;
    last = { message, at };
    if (context.json)
      return printEvent(context, 'failed', { service: place.service, code, message, ...(hint && { hint }) });
    context.stderr.line(`${place.service}: ${printable(message)} [${code}]`);
    if (hint) context.stderr.line(`  ${printable(hint)}`);
  };
}

interface Announced {
  readonly port: number;
  /** Addresses of the two identities. */
  readonly agent: string;
  readonly identity: string;
}

function announce(context: Context, place: Place, { port, agent, identity }: Announced): void {
  const { service, hostname } = place;
  if (context.json)
    return printEvent(context, 'connected', { service, hostname, host: '127.0.0.1', port, agent, identity });
  context.stderr.note(
    `${service === hostname ? '' : `${service}: `}${hostname} belongs to ${agent}; connecting as ${identity}`,
  );
  context.stdout.line(`${service}: ${clientFor(place, port)}`);
}

/** What to type, by the usual port of the target. */
const CLIENTS: Readonly<Record<number, (port: number) => string>> = {
  22: (port) => `ssh -p ${port} 127.0.0.1`,
  3306: (port) => `mysql -h 127.0.0.1 -P ${port}`,
  5432: (port) => `psql -h 127.0.0.1 -p ${port}`,
  6379: (port) => `redis-cli -h 127.0.0.1 -p ${port}`,
  27017: (port) => `mongosh --port ${port}`,
};

function clientFor({ hostname, isHttp, targetPort = 0 }: Place, port: number): string {
  // A name of its own, because all ports of one name share their cookies. Only browsers and curl look up such names everywhere.
  if (isHttp)
    return `http://${hostname.split('.', 1)[0]}.localhost:${port} in a browser, 127.0.0.1:${port} for programs`;
  return CLIENTS[targetPort]?.(port) ?? `127.0.0.1:${port}`;
}
