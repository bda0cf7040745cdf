import { basename, resolve } from 'node:path';
import { relayKey, type UrlRelay } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { RelayLock } from '../../config/files/lock.js';
import { fromPointer } from '../../config/text/tree.js';
import { loadIdentity } from '../../identity/file.js';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import { namedRelays } from '../../reconcile/candidates/survey.js';
import { expectKey } from '../../reconcile/candidates/candidate.js';
import { needAllowed } from '../allow/gate.js';
import { askAgent } from '../running/ask-agent.js';
import type { Context } from '../context.js';
import { usage } from '../expose-services.js';
import { identityFile } from '../identity-file.js';
import { needUsable } from '../running/load-usable.js';
import { loadLockState } from '../lock.js';
import { caOf } from '../relay/ca.js';

export interface RelayOptions {
  readonly file?: string;
  /** URLs as typed. */
  readonly relay?: readonly string[];
  readonly ca?: string;
}

export interface RelaysToQuery {
  readonly identity: Identity;
  readonly relays: readonly UrlRelay[];
  /** Throws if a relay's key is not the expected one. */
  readonly trust: (relay: UrlRelay, address: string) => Promise<void>;
  /** The name of the file, if its only relay is the embedded one, which `portal agents` cannot query. */
  readonly embeddedOnlyIn?: string;
  /** Relays of the configuration that are not queried, and why. */
  readonly skipped: readonly { readonly relay: string; readonly why: string }[];
}

/** The relays to query: those given as options, else those of the configuration. */
export async function relaysToQuery(context: Context, options: RelayOptions): Promise<RelaysToQuery> {
  if (options.ca !== undefined && !options.relay)
    throw usage(
      '--ca needs --relay',
      'Name the relay that uses the CA, for example --relay https://relay.example.com.',
    );
  if (options.relay) return typed(context, options.relay, options);
  const { loaded, problems, broken } = await needUsable(context, options.file).catch(orNameRelay);
  await needAllowed(
    context,
    loaded,
    'Check the file, then run `portal allow`. Or run it from another folder with --relay URL.',
  );
  const { desired } = loaded;
  const lock = await loadLockState(desired);
  const named = namedRelays(desired);
  const direct = named.filter(({ source }) => source !== 'chain').map(({ relay }) => relay);
  const embedded = desired.relays.filter(({ kind }) => kind === 'embedded');
  const fromAgent = desired.candidates ? await chosen(context, desired, direct) : [];
  const embeddedOnly = embedded.length > 0 && named.length === 0 && !desired.candidates;
  return {
    ...(embeddedOnly && { embeddedOnlyIn: basename(desired.file ?? 'portal.yaml') }),
    identity: await loadIdentity(desired.identityFile ?? context.paths.identityFile, { create: false }),
    relays: [...direct, ...(fromAgent ?? [])],
    trust: trustBy(lock && new RelayLock({ file: lock.file })),
    skipped: [
      ...broken.map((service) => ({
        relay: `service ${service}`,
        why: problems.find(({ path }) => fromPointer(path)[1] === service)?.message ?? '',
      })),
      ...named
        .filter(({ source }) => source === 'chain')
        .map(({ relay }) => ({
          relay: relayKey(relay),
          why: 'it is used only in a chain, and signing in would reveal your identity and address to it',
        })),
      ...(embeddedOnly ? [] : embedded).map((relay) => ({
        relay: relayKey(relay),
        why: 'it runs inside `portal up`. See it with `portal status`.',
      })),
      ...(fromAgent
        ? []
        : [
            {
              relay: desired.candidates?.registry ?? 'discovered relays',
              why: 'a running agent chooses from these, and none runs for this file. Use `--relay URL`.',
            },
          ]),
    ],
  };
}

/** Without a file, these commands still work for relays given as options. */
function orNameRelay(error: unknown): never {
  if (!isWithoutFile(error)) throw error;
  throw new PortalError(error.code, error.message, {
    cause: error,
    hint: 'Name a relay with --relay URL, or run this in the folder of a portal.yaml.',
  });
}

const isWithoutFile = (error: unknown): error is PortalError =>
  error instanceof PortalError && error.code === 'config_not_found';

async function typed(
  context: Context,
  urls: readonly string[],
  options: RelayOptions,
): Promise<RelaysToQuery> {
  const given = options.ca === undefined ? undefined : resolve(context.cwd, options.ca);
  const { lock, caFiles } = await fileHere(context, options.file);
  const relays = urls.map(async (text): Promise<UrlRelay> => {
    if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
      throw usage(`--relay: ${text} is not an https:// URL`);
    const url = new URL(text).origin;
    const caFile = given ?? caFiles.get(url) ?? (await caOf(context, url));
    return { kind: 'url', url, ...(caFile !== undefined && { caFile }) };
  });
  return {
    identity: await loadIdentity(await identityFile(context, options.file), { create: false }),
    relays: [...new Map((await Promise.all(relays)).map((relay) => [relay.url, relay])).values()],
    trust: trustBy(lock),
    skipped: [],
  };
}

const HINT_ALLOW =
  'This command uses its identity and CAs. Check the file, then run `portal allow`. Or run it from another folder.';

/** The lock and CAs of the configuration in this folder, if any. They also apply to relays given as options. */
async function fileHere(
  context: Context,
  file: string | undefined,
): Promise<{ lock?: RelayLock; caFiles: ReadonlyMap<string, string> }> {
  try {
    const { loaded } = await needUsable(context, file);
    await needAllowed(context, loaded, HINT_ALLOW);
    const { desired } = loaded;
    const lock = await loadLockState(desired);
    const caFiles = namedRelays(desired).flatMap(({ relay: { url, caFile } }) =>
      caFile === undefined ? [] : [[url, caFile] as const],
    );
    return { ...(lock && { lock: new RelayLock({ file: lock.file }) }), caFiles: new Map(caFiles) };
  } catch (error) {
    if (file === undefined && isWithoutFile(error)) return { caFiles: new Map() };
    throw error;
  }
}

/** Checks an address that the relay has already proven. Adds nothing to portal.lock. */
function trustBy(lock: RelayLock | undefined): RelaysToQuery['trust'] {
  return async (relay, address) => {
    expectKey(relay, address);
    await lock?.check(relay.url, address);
  };
}

/** Relays that the agent of this file chose; undefined if no agent is running. */
async function chosen(
  context: Context,
  desired: Desired,
  direct: readonly UrlRelay[],
): Promise<readonly UrlRelay[] | undefined> {
  const survey = await askAgent(context, desired, (agent) => agent.relays());
  const known = new Set(direct.map(({ url }) => url));
  return survey?.relays
    .filter(({ url, source, inUse }) => inUse && CHOSEN_SOURCES.has(source) && !known.has(url))
    .map(({ url, address, caFile = desired.candidates?.caFiles[url] }) => ({
      kind: 'url',
      url,
      ...(address !== undefined && { address }),
      ...(caFile !== undefined && { caFile }),
    }));
}

const CHOSEN_SOURCES: ReadonlySet<string> = new Set(['registry', 'discovered']);
