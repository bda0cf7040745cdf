import { isIP } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { tooDeepAt } from '../../lib/json-depth.js';
import { checksumAddress } from '../../identity/keys.js';
import { descriptorFrom, readDescriptor, type SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import { fetchFrom } from './fetch.js';
import type { RelayEndpoint } from './relay-endpoint.js';

export type { SignedDescriptor } from '../../protocol/descriptor.js';

/** Relay discovery: a relay's own descriptor, and lists of relays from a registry or a relay. */

export interface ListedRelay {
  /** Its origin. */
  readonly url: string;
  /** The key it must prove, EIP-55. */
  readonly address?: string;
  /** File of the CA to trust for it, as written in the list. */
  readonly ca?: string;
}

export interface RelayList {
  /** Without duplicates, in the order of the list. */
  readonly relays: readonly ListedRelay[];
  /** Why entries were skipped; the first few reasons. */
  readonly skipped: readonly string[];
}

const MAX_REPORTED = 5;
/** A valid list needs four levels. */
const MAX_DEPTH = 64;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
/** How many signatures are checked before other work gets a turn. */
const AT_A_TIME = 8;

/** Fetches a relay's descriptor and measures the round-trip time. Throws `descriptor_invalid`, `version`… */
export async function fetchDescriptor(
  endpoint: RelayEndpoint,
  ms: number,
  signal?: AbortSignal,
): Promise<{ descriptor: SignedDescriptor; rttMs: number }> {
  const { status, text, rttMs } = await fetchFrom(endpoint, {
    path: PATHS.relay,
    ms,
    maxBytes: LIMITS.maxDescriptorBytes,
    ...(signal && { signal }),
  });
  if (status !== 200)
    throw new PortalError(
      'descriptor_invalid',
      `${endpoint.url} does not respond like a relay (HTTP ${status})`,
    );
  return { descriptor: descriptorFrom(text, endpoint.url, new Date()), rttMs };
}

/** Fetches the list of the relays that a relay knows. Empty if it has no list. */
export async function fetchRelayList(
  endpoint: RelayEndpoint,
  ms: number,
  signal?: AbortSignal,
): Promise<RelayList> {
  const { status, text } = await fetchFrom(endpoint, {
    path: PATHS.relays,
    ms,
    maxBytes: LIMITS.maxRelayListBytes,
    ...(signal && { signal }),
  });
  if (status !== 200) return { relays: [], skipped: [] };
  // A relay may announce others, but only their own signatures count.
  return readRelayList(text, endpoint.url, { signedAlone: true });
}

/**
 * `{"relays": [...]}`: each entry a URL, `{ url, address?, ca? }`, or a signed descriptor. Invalid entries are skipped.
 * Throws `registry_invalid` if the list itself is invalid.
 */
export async function readRelayList(
  text: string,
  from: string,
  { signedAlone = false, isFile = false }: { signedAlone?: boolean; isFile?: boolean } = {},
): Promise<RelayList> {
  const { relays } = (parsed(text, from) ?? {}) as { relays?: unknown };
  if (!Array.isArray(relays))
    throw new PortalError('registry_invalid', `${from} is not a list of relays: it has no \`relays\``);
  const listed = new Map<string, ListedRelay>();
  const skipped: string[] = [];
  const skip = (why: string): void => void (skipped.length < MAX_REPORTED && skipped.push(why));
  if (relays.length > LIMITS.maxRelaysListed)
    skip(`it has ${relays.length} entries, and only the first ${LIMITS.maxRelaysListed} are used`);
  for (const [index, entry] of relays.slice(0, LIMITS.maxRelaysListed).entries()) {
    if (index % AT_A_TIME === AT_A_TIME - 1) await nextTurn();
    try {
      const relay = listedRelay(entry as unknown, signedAlone);
      if (relay.ca !== undefined && !isFile)
        throw new PortalError('registry_invalid', 'its `ca` names a file, which only a list in a file can');
      if (!listed.has(relay.url)) listed.set(relay.url, relay);
    } catch (error) {
      skip(`entry ${index + 1}: ${asPortalError(error).message}`);
    }
  }
  return { relays: [...listed.values()], skipped };
}

function listedRelay(entry: unknown, signedAlone: boolean): ListedRelay {
  const isObject = typeof entry === 'object' && entry !== null;
  if (isObject && 'signature' in entry) {
    const { url, address } = readDescriptor(entry, new Date());
    return { url: urlOf(url), address: checksumAddress(address) };
  }
  if (signedAlone) throw new PortalError('descriptor_invalid', 'it is not signed');
  if (typeof entry === 'string') return { url: urlOf(entry) };
  const { url, address, ca } = (isObject ? entry : {}) as Record<string, unknown>;
  if (address !== undefined && (typeof address !== 'string' || !ADDRESS.test(address)))
    throw new PortalError('registry_invalid', 'its address is not 0x and 40 hex digits');
  if (ca !== undefined && typeof ca !== 'string')
    throw new PortalError('registry_invalid', 'its `ca` is not a string');
  return {
    url: urlOf(url),
    ...(address !== undefined && { address: checksumAddress(address) }),
    ...(ca !== undefined && { ca }),
  };
}

function urlOf(url: unknown): string {
  const origin = typeof url === 'string' && url.length <= 300 ? originOf(url) : undefined;
  if (origin === undefined) throw new PortalError('registry_invalid', 'it has no https:// URL of a relay');
  // A list names relays by hostname. An IP address could send agents to machines in their own network.
  if (isIP(new URL(origin).hostname.replace(/^\[|\]$/g, '')) !== 0)
    throw new PortalError('registry_invalid', `${origin} is an address; a relay is named by its domain`);
  return origin;
}

/** The origin of a relay URL: nothing before the host, nothing after the port. */
function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, username, password, pathname, search, hash, origin } = new URL(text);
  const isBare = !username && !password && pathname === '/' && !search && !hash;
  return protocol === 'https:' && isBare ? origin : undefined;
}

function parsed(text: string, from: string): unknown {
  try {
    const json = text.replace(/^\ufeff/, '');
    const deep = tooDeepAt(json, MAX_DEPTH);
    if (deep) {
      const what = `${from}, line ${deep.line}, column ${deep.column}: nested more than ${MAX_DEPTH} levels deep`;
      throw new PortalError('registry_invalid', what);
    }
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof PortalError) throw error;
    throw new PortalError('registry_invalid', `the content of ${from} is not JSON`, { cause: error });
  }
}
