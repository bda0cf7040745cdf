import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openLocalCa } from '../../certificates/local-ca.js';
import { covers } from '../../certificates/local-names.js';
import { cannotRead } from '../../lib/errors.js';
import type { RelayOptions } from '../../relay/relay.js';
import type { Context } from '../context.js';
import { usage } from '../expose-services.js';

/** `portal relay --peer`: the relays of chains through this one. */

/** As typed. */
export interface PeerOptions {
  readonly peer?: readonly string[];
  readonly peerCa?: string;
  readonly trustPeer?: readonly string[];
}

interface Peers {
  readonly origins: readonly string[];
  readonly renewed: readonly string[];
  /** The CA of all peers; undefined: the local CA for peers of this machine and its network, and public CAs for others. */
  readonly ca: string | undefined;
}

/** Relays to which agents may continue in a chain. */
export async function readPeers(
  { cwd }: Context,
  { peer = [], peerCa, trustPeer = [] }: PeerOptions,
): Promise<Peers> {
  if (peer.length === 0 && (peerCa !== undefined || trustPeer.length > 0))
    throw usage('--peer-ca and --trust-peer need --peer');
  const origins = [...new Set(peer.map((url) => originOf('--peer', url)))];
  const renewed = trustPeer.map((url) => originOf('--trust-peer', url));
  const unknown = renewed.find((origin) => !origins.includes(origin));
  if (unknown !== undefined) throw usage(`--trust-peer: ${unknown} is not a --peer`);
  return { origins, renewed, ca: peerCa === undefined ? undefined : await readCa(resolve(cwd, peerCa)) };
}

/** The same with their CAs. May create the local CA. */
export async function trusting(
  { paths }: Context,
  { origins, renewed, ca: given }: Peers,
): Promise<Pick<RelayOptions, 'peers' | 'trustPeers'>> {
  const peers = origins.map(async (url) => {
    const isLocal = given === undefined && covers(new URL(url).hostname);
    const ca = isLocal ? (await openLocalCa(paths.caDir)).certificatePem : given;
    return { url, ...(ca !== undefined && { ca }) };
  });
  return { peers: await Promise.all(peers), trustPeers: renewed };
}

function originOf(flag: string, url: string): string {
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return new URL(url).origin;
  throw usage(`${flag}: ${url} is not an https:// URL`);
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw usage(`--peer-ca: ${cannotRead(file, error)}`);
  }
}
