import { validators, type Validator } from 'validators:descriptor';
import type { Identity } from '../identity/identity.js';
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { PROTOCOL_VERSION } from './limits.js';

/** What a relay says of itself (`GET /v1/relay`), signed with its own key so that others can pass it on. */

export interface RelayDescriptor {
  /** Of the relay's own key, EIP-55. */
  readonly address: string;
  readonly url: string;
  /** Versions of the protocol. */
  readonly protocols: readonly number[];
  /** What it can carry: modes, `hostname`, `hop`. */
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

/** How far ahead the clock of whoever issued a descriptor may be. */
const CLOCK_SKEW_MS = 60_000;
/** No relay signs for longer; what claims to hold for years would never be looked at again. */
const MAX_VALID_MS = 7 * 24 * 3_600_000;

/** `descriptor` with an EIP-191 signature over its JSON text, keys as they stand. */
export function signDescriptor(
  identity: Identity,
  descriptor: Omit<RelayDescriptor, 'address'>,
): SignedDescriptor {
  const whole: RelayDescriptor = { address: identity.address, ...descriptor };
  return { ...whole, signature: identity.sign(JSON.stringify(whole)) };
}

const isDescriptor = validators['descriptor'] as Validator<SignedDescriptor>;

/**
 * A descriptor as it was received, JSON read: its form, its signature and its times are checked, and unknown fields
 * belong to what is signed. Throws `descriptor_invalid`, or `expired`.
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
  if (issuedAt > now.getTime() + CLOCK_SKEW_MS) throw invalid(`it is from the future, ${value.issuedAt}`);
  // Negated, so that what is no time fails as well.
  if (!(expiresAt - issuedAt <= MAX_VALID_MS)) throw invalid('it claims to hold for too long');
  if (expiresAt <= now.getTime())
    throw new PortalError('expired', `the descriptor of ${value.url} was good until ${value.expiresAt}`);
  return value;
}

/**
 * What a relay at `url` says of itself, as it was received. Throws `descriptor_invalid`, `expired`, or `version` where it
 * speaks no version of ours.
 */
export function descriptorFrom(said: string, url: string, now: Date): SignedDescriptor {
  let value: unknown;
  try {
    value = JSON.parse(said);
  } catch (error) {
    throw new PortalError('descriptor_invalid', `what answers at ${url} is no relay`, { cause: error });
  }
  const descriptor = readDescriptor(value, now);
  const { origin } = new URL(url);
  if (!URL.canParse(descriptor.url) || new URL(descriptor.url).origin !== origin)
    throw new PortalError('descriptor_invalid', `what answers at ${url} says that it is ${descriptor.url}`);
  if (!descriptor.protocols.includes(PROTOCOL_VERSION))
    throw new PortalError(
      'version',
      `${url} speaks version ${descriptor.protocols.join(', ')} of the protocol, and not ${PROTOCOL_VERSION}`,
    );
  return descriptor;
}

function invalid(why: string, cause?: unknown): PortalError {
  return new PortalError('descriptor_invalid', `a relay's descriptor is not valid: ${why}`, { cause });
}
