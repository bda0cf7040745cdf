import type { Identity } from '../identity/identity.js';
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { PortalError } from '../lib/errors.js';

/**
 * How a relay proves its key before an agent signs anything. A certificate proves the domain; this proves the relay. It is
 * bound to the TLS session, so that no one can forward the proof of another relay.
 */

export interface RelayProof {
  /** The relay's own address, EIP-55. */
  readonly address: string;
  /** EIP-191 over the text below. */
  readonly signature: string;
}

interface Proven {
  /** The relay's URL, as in the challenge. */
  readonly url: string;
  /** The agent's nonce, from `hello` or from its request for a challenge. */
  readonly nonce: string;
  /** The TLS session, from `channelOf` at either end. */
  readonly channel: string;
}

export function proveRelay(identity: Identity, proven: Proven): RelayProof {
  return { address: identity.address, signature: identity.sign(textOf(proven)) };
}

/** The proven address, EIP-55. Throws `relay_untrusted` if the proof is for another TLS session. */
export function verifyRelay({ address, signature }: RelayProof, proven: Proven): string {
  const claimed = checksumAddress(address);
  if (recovered(textOf(proven), signature) === claimed) return claimed;
  throw new PortalError(
    'relay_untrusted',
    `this connection to ${proven.url} does not end at the relay with the key ${claimed}; the agent signed nothing`,
    { hint: INSPECTED },
  );
}

/** The hint for an agent whose TLS session does not end at the relay. */
export const INSPECTED =
  'Something between this machine and the relay intercepts TLS: a proxy that inspects traffic, or an attacker. Have this host exempted from inspection, or use another network.';

function recovered(text: string, signature: string): string | undefined {
  try {
    return recoverAddress(text, signature);
  } catch {
    // An invalid signature counts like a signature of another key.
    return undefined;
  }
}

function textOf({ url, nonce, channel }: Proven): string {
  return `Portal relay\n\nURL: ${url}\nNonce: ${nonce}\nChannel: ${channel}`;
}
