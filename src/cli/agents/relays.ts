import { basename, resolve } from 'node:path';
import { relayKey, type UrlRelay } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { RelayLock } from '../../config/lock.js';
import { loadIdentity } from '../../identity/file.js';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import { namedRelays } from '../../reconcile/candidates/survey.js';
import { expectKey } from '../../reconcile/candidates/candidate.js';
import { needAllowed } from '../allow/gate.js';
import { askAgent } from '../ask-agent.js';
import type { Context } from '../context.js';
import { usage } from '../expose-services.js';
import { identityFile } from '../identity-file.js';
import { load, loadOptions } from '../load.js';
import { loadLockState } from '../lock.js';
import { caOf } from '../relay-ca.js';

export interface RelayOptions {
  readonly file?: string;
  /** As typed. */
  readonly relay?: readonly string[];
  readonly ca?: string;
}

export interface RelaysToAsk {
  readonly identity: Identity;
  readonly relays: readonly UrlRelay[];
  /** Throws where a relay has another key than the one that it is trusted by. */
  readonly trust: (relay: UrlRelay, address: string) => Promise<void>;
  /** The name of the file, where it names the embedded relay alone: `portal agents` cannot ask that. */
  readonly embeddedOnlyIn?: string;
  /** Relays of the configuration that are not asked, and why. */
  readonly leftOut: readonly { readonly relay: string; readonly why: string }[];
}

/** Whom to ask for agents: the relays that were typed, or those that the configuration comes to. */
export async function relaysToAsk(context: Context, options: RelayOptions): Promise<RelaysToAsk> {
  if (options.ca !== undefined && !options.relay)
    throw usage('--ca is the CA of a relay: name that with --relay');
  if (options.relay) return typed(context, options.relay, options);
  const loaded = await load(loadOptions(context, options.file));
  await needAllowed(
    context,
    loaded,
    'Check the file, then run `portal allow`. Or name a relay in another folder: --relay URL.',
  );
  const { desired } = loaded;
  const lock = await loadLockState(desired);
  const named = namedRelays(desired);
  const direct = named.filter(({ source }) => source !== 'chain').map(({ relay }) => relay);
  const embedded = desired.relays.filter(({ kind }) => kind === 'embedded');
  const taken = desired.candidates ? await chosen(context, desired, direct) : [];
  const embeddedOnly = embedded.length > 0 && named.length === 0 && !desired.candidates;
  return {
    ...(embeddedOnly && { embeddedOnlyIn: basename(desired.file ?? 'portal.yaml') }),
    identity: await loadIdentity(desired.identityFile ?? context.paths.identityFile, { create: false }),
    relays: [...direct, ...(taken ?? [])],
    trust: trustBy(lock && new RelayLock({ file: lock.file })),
    leftOut: [
      ...named
        .filter(({ source }) => source === 'chain')
        .map(({ relay }) => ({
          relay: relayKey(relay),
          why: 'it is used in a chain alone, and signing in there would tell it who and where you are',
        })),
      ...(embeddedOnly ? [] : embedded).map((relay) => ({
        relay: relayKey(relay),
        why: 'it runs inside `portal up`. See it with `portal status`.',
      })),
      ...(taken
        ? []
        : [
            {
              relay: desired.candidates?.registry ?? 'what relays tell of',
              why: 'an agent chooses of these, and none runs for this file; `--relay URL` asks one',
            },
          ]),
    ],
  };
}

async function typed(context: Context, urls: readonly string[], options: RelayOptions): Promise<RelaysToAsk> {
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
    leftOut: [],
  };
}

const ALLOW_OR_LEAVE =
  'Its identity and CAs would be used. Check the file, then run `portal allow`, or run this in another folder.';

/** What the configuration here, if there is one, knows of relays counts for those that are typed, too. */
async function fileHere(
  context: Context,
  file: string | undefined,
): Promise<{ lock?: RelayLock; caFiles: ReadonlyMap<string, string> }> {
  try {
    const loaded = await load(loadOptions(context, file));
    await needAllowed(context, loaded, ALLOW_OR_LEAVE);
    const { desired } = loaded;
    const lock = await loadLockState(desired);
    const caFiles = namedRelays(desired).flatMap(({ relay: { url, caFile } }) =>
      caFile === undefined ? [] : [[url, caFile] as const],
    );
    return { ...(lock && { lock: new RelayLock({ file: lock.file }) }), caFiles: new Map(caFiles) };
  } catch (error) {
    if (file === undefined && error instanceof PortalError && error.code === 'config_not_found')
      return { caFiles: new Map() };
    throw error;
  }
}

/** The key is proven when it comes here; nothing is remembered by looking. */
function trustBy(lock: RelayLock | undefined): RelaysToAsk['trust'] {
  return async (relay, address) => {
    expectKey(relay, address);
    await lock?.check(relay.url, address);
  };
}

/** What the agent of this file took besides; undefined: none runs. */
async function chosen(
  context: Context,
  desired: Desired,
  direct: readonly UrlRelay[],
): Promise<readonly UrlRelay[] | undefined> {
  const survey = await askAgent(context, desired);
  const known = new Set(direct.map(({ url }) => url));
  return survey?.relays
    .filter(({ url, source, inUse }) => inUse && CHOSEN.has(source) && !known.has(url))
    .map(({ url, address, caFile = desired.candidates?.caFiles[url] }) => ({
      kind: 'url',
      url,
      ...(address !== undefined && { address }),
      ...(caFile !== undefined && { caFile }),
    }));
}

const CHOSEN: ReadonlySet<string> = new Set(['registry', 'discovered']);
