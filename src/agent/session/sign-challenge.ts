import type { TLSSocket } from 'node:tls';
import type { Identity } from '../../identity/identity.js';
import { checkChallenge } from '../../protocol/challenge.js';
import { verifyRelay, type RelayProof } from '../../protocol/relay-proof.js';
import { channelBinding } from './channel-binding.js';
import type { RelayEndpoint } from './relay-endpoint.js';

export interface SigningContext {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** The nonce over which the relay proves its key. */
  readonly nonce: string;
  /** The TLS session that carried the challenge. */
  readonly socket: TLSSocket;
  /** The purpose of the signature, one of `STATEMENTS`. */
  readonly statement: string;
}

/**
 * The signature over a relay's challenge, and the relay's address. An agent signs for a relay only here. The relay must first
 * prove its key over this TLS session, be the trusted one, and request a permitted statement. Throws `relay_untrusted`,
 * `relay_key_changed`, `relay_not_locked`, `unauthorized`, `expired`, `protocol`.
 */
export async function signChallenge(
  challenge: { readonly message: string; readonly relay: RelayProof },
  { endpoint, identity, nonce, socket, statement }: SigningContext,
): Promise<{ signature: string; relayKey: string }> {
  const { url, trust } = endpoint;
  const channel = channelBinding(url, socket, 'the agent signed nothing');
  // Checked first because its errors say more: a wrong name or clock explains a failed proof.
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
