import type { TLSSocket } from 'node:tls';
import type { Identity } from '../identity/identity.js';
import { checkChallenge } from '../protocol/challenge.js';
import { verifyRelay, type RelayProof } from '../protocol/relay-proof.js';
import { channelWith } from './channel-with.js';
import type { RelayEndpoint } from './relay-way.js';

export interface Answering {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** What the relay was given to prove its key over. */
  readonly nonce: string;
  /** The TLS session that the challenge came in. */
  readonly socket: TLSSocket;
  /** What the signature is for, one of `STATEMENTS`. */
  readonly statement: string;
}

/**
 * The signature over a relay's challenge, and the relay's address. The one place where an agent signs for a relay: only once
 * the relay has proven its key over this TLS session, is the one that is trusted, and asks for what it may ask. Throws
 * `relay_untrusted`, `relay_key_changed`, `relay_not_locked`, `unauthorized`, `expired`, `protocol`.
 */
export async function answerChallenge(
  challenge: { readonly message: string; readonly relay: RelayProof },
  { endpoint, identity, nonce, socket, statement }: Answering,
): Promise<{ signature: string; relayKey: string }> {
  const { url, trust } = endpoint;
  const channel = channelWith(url, socket, 'nothing was signed');
  // First, for its words: a relay that goes by another name, or whose clock is wrong, has more to say than that its proof fails.
  checkChallenge(challenge.message, {
    address: identity.address,
    domain: new URL(url).host,
    channel,
    statement,
    now: new Date(),
  });
  const relayKey = verifyRelay(challenge.relay, { url, nonce, channel });
  await trust?.(relayKey);
  return { signature: identity.sign(challenge.message), relayKey };
}
