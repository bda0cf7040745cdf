import { createHmac, randomBytes } from 'node:crypto';
import type { Identity } from '../../../identity/identity.js';
import { recoverAddress } from '../../../identity/keys.js';
import type { AccessSpec } from '../../spec.js';
import { GATE_KINDS, passesByLink } from '../kinds.js';
import type { Revoked } from './store.js';
import { readToken, shareMessage, shareToken, type ShareLink, type ShareScope } from './token.js';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const ID_CHARS = 8;
/** How far the clock of another machine may be ahead, in seconds. */
const SKEW_S = 300;

/** Signs and verifies the share links of an identity, and knows which are revoked. One for all leases of an agent. */
export class Shares {
  readonly #identity: Identity;
  /** Signs cookies, and hides settings. */
  readonly key: Buffer;
  /** Undefined while it is unknown: then no link is valid. */
  revoked: Revoked | undefined;

  constructor(identity: Identity) {
    this.#identity = identity;
    this.key = identity.derive('share links');
  }

  /** A link with a new id. Not in the second of the last `revoke --all` or before. */
  issue(path: string, until: number, now: number): ShareLink {
    const issuedAt = Math.max(Math.floor(now / 1_000), (this.revoked?.upTo ?? 0) + 1);
    return { id: newId(), issuedAt, until: Math.floor(until / 1_000), path };
  }

  /** The token of a link at one address. */
  tokenOf(link: ShareLink, scope: ShareScope): string {
    return shareToken(link, this.#identity.sign(shareMessage(link, scope)));
  }

  /** The link of a token with a valid signature. Takes about a millisecond. */
  verify(token: string, scope: ShareScope): ShareLink | undefined {
    const read = readToken(token);
    if (!read) return undefined;
    try {
      const signer = recoverAddress(shareMessage(read.link, scope), read.signature);
      return signer === this.#identity.address ? read.link : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Whether the link is neither expired nor revoked, nor issued in the future: `revoke --all` would miss a link of a clock that is
   * ahead.
   */
  isOpen({ id, issuedAt, until }: ShareLink, now: number): boolean {
    if (!this.revoked || this.revoked.ids.has(id) || issuedAt <= this.revoked.upTo) return false;
    // The clock may have been ahead at the last `revoke --all`, after which `issue` continues.
    const latest = Math.max(Math.floor(now / 1_000), this.revoked.upTo + 1) + SKEW_S;
    return issuedAt <= latest && now < until * 1_000;
  }

  /** A keyed hash of the settings of all gates that links pass. Undefined if there is no such gate. */
  settingsOf(access: AccessSpec): string | undefined {
    const set = GATE_KINDS.filter((kind) => passesByLink(kind, access));
    if (set.length === 0) return undefined;
    const settings = JSON.stringify(set.map(({ key }) => [key, access[key]]));
    return createHmac('sha256', this.key).update(`settings ${settings}`).digest('base64url');
  }
}

function newId(): string {
  let id = '';
  for (const byte of randomBytes(ID_CHARS)) id += BASE32[byte % BASE32.length];
  return id;
}
