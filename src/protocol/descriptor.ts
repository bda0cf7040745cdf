import { validators, type Validator } from 'validators:descriptor';
import type { Identity } from '../identity/identity.js';
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { checkClock } from '../lib/wall-clock.js';
import { PROTOCOL_VERSION } from './limits.js';

/** A relay's description of itself (`GET /v1/relay`), signed with its key so that others can forward it. */

export interface RelayDescriptor {
  /** Address of the relay's key, EIP-55. */
  readonly address: string;
  readonly url: string;
  /** Versions of the protocol. */
  readonly protocols: readonly number[];
  /** Its features: modes, `hostname`, `hop`. */
  readonly capabilities: readonly string[];
  readonly carriers: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** ISO times. */
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface SignedDescriptor extends RelayDescriptor {
  readonly signature: string;
}

/** How far ahead the clock of the descriptor's issuer may be. */
const CLOCK_SKEW_MS = 60_000;
/** Maximum validity. A longer one would mean that the descriptor is never checked again. */
const MAX_VALID_MS = 7 * 24 * 3_600_000;

/** `descriptor` with an EIP-191 signature over its JSON text, keys in their order. */
export function signDescriptor(
  identity: Identity,
  descriptor: Omit<RelayDescriptor, 'address'>,
): SignedDescriptor {
  const whole: RelayDescriptor = { address: identity.address, ...descriptor };
  return { ...whole, signature: identity.sign(JSON.stringify(whole)) };
}

const isDescriptor = validators['descriptor'] as Validator<SignedDescriptor>;

/**
 * Checks the form, the signature and the times of a received descriptor (parsed JSON). The signature covers unknown fields.
 * Throws `descriptor_invalid` or `expired`.
 */
export function readDescriptor(value: unknown, now: Date): SignedDescriptor {
  if (!isDescriptor(value)) {
    const [first] = isDescriptor.errors ?? [];
    throw invalid(`${first?.instancePath ?? ''} ${first?.message ?? 'is malformed'}`.trim());
  }
  const { signature, ...signed } = value;
  let signer: string;
  try {
    signer = recoverAddress(JSON.stringify(signed), signature);
  } catch (error) {
    throw invalid(asPortalError(error).message, error);
  }
  if (signer !== checksumAddress(value.address)) throw invalid(`it was not signed by ${value.address}`);
  const [issuedAt, expiresAt] = [Date.parse(value.issuedAt), Date.parse(value.expiresAt)];
  if (issuedAt > now.getTime() + CLOCK_SKEW_MS)
    throw invalid(`its time of issue is in the future: ${value.issuedAt}`);
  // Negated, so that an invalid time fails as well.
  if (!(expiresAt - issuedAt <= MAX_VALID_MS)) throw invalid('it is valid for too long');
  if (expiresAt <= now.getTime())
    throw new PortalError('expired', `the descriptor of ${value.url} expired at ${value.expiresAt}`, {
      hint: checkClock(now),
    });
  return value;
}

/**
 * The descriptor that the relay at `url` sent as text. Throws `descriptor_invalid`, `expired`, or `version` if it supports no
 * protocol version of ours.
 */
export function descriptorFrom(said: string, url: string, now: Date): SignedDescriptor {
  let value: unknown;
  try {
    value = JSON.parse(said);
  } catch (error) {
    throw new PortalError('descriptor_invalid', `the server at ${url} is not a relay`, { cause: error });
  }
  const descriptor = readDescriptor(value, now);
  const { origin } = new URL(url);
  if (!URL.canParse(descriptor.url) || new URL(descriptor.url).origin !== origin)
    throw new PortalError('descriptor_invalid', `the relay at ${url} has a descriptor for ${descriptor.url}`);
  if (!descriptor.protocols.includes(PROTOCOL_VERSION))
    throw new PortalError(
      'version',
      `${url} supports protocol version ${descriptor.protocols.join(', ')}, not ${PROTOCOL_VERSION}`,
    );
  return descriptor;
}

function invalid(why: string, cause?: unknown): PortalError {
  return new PortalError('descriptor_invalid', `a relay's descriptor is invalid: ${why}`, { cause });
}
