import { access, constants } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Desired } from '../../config/desired.js';
import { systemCode } from '../../lib/errors.js';
import { caCreated, type Notice } from '../../reconcile/notices.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { ownName } from '../../library/derived-name.js';
import { loadDocument } from '../../library/document.js';
import { EXPOSED_CHAIN, exposedServices, usage, type ExposeFlags } from '../expose-services.js';
import { inFlags, reportingFlags } from '../grammar/expose-words.js';
import { parseListenAddress } from '../listen-address.js';
import { caOf } from '../relay/ca.js';
import { createReporter, type OutputOptions } from '../reporters/create.js';

interface Options extends ExposeFlags, OutputOptions {
  readonly name?: string;
  readonly relay?: readonly string[];
  readonly ca?: string;
  readonly metrics?: string;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const metricsAt = options.metrics === undefined ? undefined : parseListenAddress(options.metrics);
  const made: Notice[] = [];
  const desired = await desiredOf(context, args[0], options, (notice) => made.push(notice));
  const { runAgent } = await import('../run-agent.js');
  return runAgent(context, {
    key: { pid: process.pid },
    desired,
    made,
    ...(metricsAt && { metricsAt }),
    reporter: reportingFlags(await createReporter(context, options)),
  });
}

/** Builds a configuration from the flags, and validates it like any other. */
async function desiredOf(
  context: Context,
  target: string | undefined,
  options: Options,
  onMade: (notice: Notice) => void,
): Promise<Desired> {
  if (options.ca !== undefined && !options.relay && options.chain === undefined)
    throw usage('--ca needs --relay or --chain');
  if (options.ca !== undefined) await checkReadable(resolve(context.cwd, options.ca), options.ca);
  if (options.relay && options.chain !== undefined)
    throw usage(
      '--relay and --chain cannot be used together',
      'Publish the service on relays, or over one chain.',
    );
  const typed = [target, ...(options.httpRoute ?? []), options.udpAddr].filter((each) => each !== undefined);
  const entries = (urls: readonly string[]): Promise<unknown[]> =>
    Promise.all(urls.map((url) => relayEntry(context, url, options.ca, onMade)));
  const hops = options.chain?.split(',');
  const documentAs = (
    name: string,
    relays: readonly unknown[] | undefined,
    chain: readonly unknown[] | undefined,
  ) => ({
    version: 1,
    ...(relays && { relays: { urls: relays } }),
    ...(chain && { chains: { [EXPOSED_CHAIN]: chain } }),
    services: exposedServices(name, target, options, context.cwd),
  });
  // Report errors in the flags before an identity and a CA are created.
  await load(context, documentAs(options.name ?? 'service', options.relay, hops));
  const { label: name, made } =
    options.name === undefined ? await ownName(context, typed.join(' ')) : { label: options.name, made: [] };
  for (const notice of made) onMade(notice);
  const document = documentAs(
    name,
    options.relay && (await entries(options.relay)),
    hops && (await entries(hops)),
  );
  return load(context, document);
}

/** Rejects with the first problem of the flags. */
const load = (context: Context, document: unknown): Promise<Desired> =>
  loadDocument(document, context, inFlags);

/** Without this check the error would name `ca:`, a key of portal.yaml. */
async function checkReadable(path: string, typed: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw usage(
      `--ca: cannot read "${typed}" (${systemCode(error)})`,
      'Name a readable file of PEM certificates.',
    );
  }
}

/** A relay on this machine or its network has a certificate issued by the local CA. */
async function relayEntry(
  { paths, cwd }: Context,
  url: string,
  ca: string | undefined,
  onMade: (notice: Notice) => void,
): Promise<string | { url: string; ca: string }> {
  if (ca !== undefined) return { url, ca: resolve(cwd, ca) };
  const local = await caOf({ paths }, url, (...made) => onMade(caCreated(...made)));
  return local === undefined ? url : { url, ca: local };
}
