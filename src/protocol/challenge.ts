/**
 * The challenge that a relay sends and an agent signs: an EIP-4361 (Sign-In with Ethereum) text, so that a wallet shows what
 * a person proves and to whom. Each is for one use: its nonce belongs to one control channel.
 */
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { isChannel } from './channel.js';
import { LIMITS } from './limits.js';
import { INSPECTED } from './relay-proof.js';

/** What a signature is for. A signature for one is not valid for the other. */
export const STATEMENTS = {
  control: 'Prove that this identity may hold leases on this relay.',
  signIn: 'Sign in to see and manage the agents and names of this identity on this relay.',
} as const;

export interface ChallengeFields {
  /** Authority of the relay: host, with the port unless it is 443. */
  readonly domain: string;
  /** The address of the identity to prove, with EIP-55 checksum. */
  readonly address: string;
  /** The relay's URL, on `domain`. */
  readonly uri: string;
  /** At least 8 letters and digits, never used before. */
  readonly nonce: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** The TLS session in which the proof is valid, from `channelOf` at either end. */
  readonly channel: string;
  /** One line for the person, in the characters that EIP-4361 allows. */
  readonly statement?: string;
  readonly requestId?: string;
}

/** What the relay expects in the proof. */
export interface ProofExpectation {
  readonly address: string;
  readonly domain: string;
  readonly uri: string;
  readonly nonce: string;
  /** The TLS session in which the proof arrived. */
  readonly channel: string;
  /** One of `STATEMENTS`. */
  readonly statement: string;
  readonly now: Date;
}

/** How far ahead the clock of the challenge's issuer may be. */
const CLOCK_SKEW_MS = 60_000;
/** EIP-4361 requires a chain id. Portal uses no chain; 1 is Ethereum's main chain, as wallets expect. */
const CHAIN_ID = 1;
const NONCE = /^[A-Za-z0-9]{8,}$/;
/** Prefix of the only resource of a challenge, which names the TLS session. */
const CHANNEL_URN = 'urn:portal:channel:';
/** The lines of `buildChallenge`. Rebuilding the text from the parsed fields checks the fields. */
const FORM = new RegExp(
  [
    '^(?<domain>[!-.0-~]+) wants you to sign in with your Ethereum account:',
    '(?<address>0x[0-9a-fA-F]{40})',
    '(?:\n(?<statement>[ -~]+))?',
    '',
    'URI: (?<uri>[!-~]+)',
    'Version: 1',
    `Chain ID: ${CHAIN_ID}`,
    'Nonce: (?<nonce>[A-Za-z0-9]{8,})',
    'Issued At: (?<issuedAt>[0-9TZ:.-]+)',
    'Expiration Time: (?<expiresAt>[0-9TZ:.-]+)(?:\nRequest ID: (?<requestId>[!-~]*))?',
    'Resources:',
    `- ${CHANNEL_URN}(?<channel>[0-9a-f]{64})$`,
  ].join('\n'),
);

/**
 * The text for `fields`. Throws `unauthorized` for an invalid address, and a RangeError for values that would forge
 * another line or that no reader accepts.
 */
export function buildChallenge(fields: ChallengeFields): string {
  const { domain, uri, nonce, issuedAt, expiresAt, channel, statement, requestId } = fields;
  if (!isChannel(channel)) throw new RangeError('a channel must be 64 hex digits');
  if (!NONCE.test(nonce)) throw new RangeError('a nonce must be at least 8 letters and digits');
  for (const value of [domain, uri, statement, requestId]) {
    if (value !== undefined && /[\r\n]/.test(value))
      throw new RangeError('a field of a challenge must be one line');
  }
  return [
    `${domain} wants you to sign in with your Ethereum account:`,
    checksumAddress(fields.address),
    '',
    ...(statement ? [statement] : []),
    '',
    `URI: ${uri}`,
    'Version: 1',
    `Chain ID: ${CHAIN_ID}`,
    `Nonce: ${nonce}`,
    `Issued At: ${issuedAt.toISOString()}`,
    `Expiration Time: ${expiresAt.toISOString()}`,
    ...(requestId === undefined ? [] : [`Request ID: ${requestId}`]),
    'Resources:',
    `- ${CHANNEL_URN}${channel}`,
  ].join('\n');
}

/**
 * Parses a challenge text. Throws `protocol` for every text that `buildChallenge` would not produce exactly. EIP-4361 allows
 * more: other chains, a not-before, and further resources, which could hide a delegation of rights (EIP-5573) in what the
 * agent signs.
 */
export function readChallenge(text: string): ChallengeFields {
  if (text.length > LIMITS.maxChallengeChars)
    throw malformed(`it has more than ${LIMITS.maxChallengeChars} characters`);
  const read = FORM.exec(text)?.groups;
  if (!read) throw malformed('it does not have the lines of a challenge');
  const { domain = '', address = '', uri = '', nonce = '', channel = '', statement, requestId } = read;
  const fields = {
    domain,
    address,
    uri,
    nonce,
    issuedAt: readDate(read['issuedAt']!),
    expiresAt: readDate(read['expiresAt']!),
    channel,
    ...(statement === undefined ? {} : { statement }),
    ...(requestId === undefined ? {} : { requestId }),
  };
  if (buildChallenge(fields) !== text) throw malformed('an address or a time is not in its usual form');
  return fields;
}

/**
 * Relay side: verifies that the owner of `expected.address` signed exactly this challenge. Throws `expired` if the proof is
 * too late or too early, and `unauthorized` otherwise. The message says which check failed.
 */
export function verifyProof(message: string, signature: string, expected: ProofExpectation): void {
  const fields = readSigned(message);
  expectSame('domain', fields.domain, expected.domain);
  expectSame('URI', fields.uri, expected.uri);
  expectSame('nonce', fields.nonce, expected.nonce);
  expectSame('channel', fields.channel, expected.channel);
  expectSame('statement', fields.statement ?? '', expected.statement);
  expectSame('address', fields.address.toLowerCase(), expected.address.toLowerCase());
  checkTimes(fields, expected.now);
  if (recoverAddress(message, signature) !== fields.address) {
    throw new PortalError(
      'unauthorized',
      `the signature is not by ${fields.address}, or the challenge was changed`,
    );
  }
}

/**
 * Agent side, before it signs. The challenge must be from the relay that the agent is connected to (`domain`). It must be for
 * the agent's `address` and this TLS session (`channel`), and short-lived. Otherwise a hostile relay could forward another relay's
 * challenge and use the signature there. Throws `protocol`, `unauthorized`, `expired`, or `relay_untrusted` if the challenge
 * is for another TLS session.
 */
export function checkChallenge(
  text: string,
  expected: Pick<ProofExpectation, 'address' | 'domain' | 'channel' | 'statement' | 'now'>,
): ChallengeFields {
  const fields = readChallenge(text);
  const { domain, uri, address, channel, statement, issuedAt, expiresAt } = fields;
  if (domain.toLowerCase() !== expected.domain.toLowerCase()) {
    throw new PortalError(
      'unauthorized',
      `the challenge is for ${domain}, but the agent is connected to ${expected.domain}; the agent signed nothing. If you mean the relay ${domain}, use this name in its URL`,
    );
  }
  if (!URL.canParse(uri) || new URL(uri).host !== expected.domain.toLowerCase()) {
    throw new PortalError(
      'unauthorized',
      `the challenge is for ${uri}, which is not on ${domain}; the agent signed nothing`,
    );
  }
  expectSame('address', address.toLowerCase(), expected.address.toLowerCase());
  expectSame('statement', statement ?? '', expected.statement);
  if (channel !== expected.channel) {
    throw new PortalError(
      'relay_untrusted',
      `this connection to ${new URL(uri).origin} does not end at the relay that set the challenge; the agent signed nothing`,
      { hint: INSPECTED },
    );
  }
  checkTimes(fields, expected.now);
  if (expiresAt.getTime() - issuedAt.getTime() > LIMITS.challengeMs) {
    throw new PortalError(
      'unauthorized',
      'the challenge is valid for more than 2 minutes; the agent signed nothing',
    );
  }
  return fields;
}

function checkTimes({ issuedAt, expiresAt }: ChallengeFields, now: Date): void {
  // `expired`, so that the agent retries: correcting the clock later is enough.
  if (issuedAt.getTime() > now.getTime() + CLOCK_SKEW_MS) {
    throw new PortalError(
      'expired',
      `the challenge was issued at ${issuedAt.toISOString()}, but the time here is ${now.toISOString()}: one of the clocks is wrong`,
    );
  }
  if (now >= expiresAt) {
    throw new PortalError(
      'expired',
      `the challenge expired at ${expiresAt.toISOString()}, and the time here is ${now.toISOString()}: it is too late, or one of the clocks is wrong`,
    );
  }
}

function expectSame(what: string, actual: string, expected: string): void {
  if (actual !== expected) {
    throw new PortalError('unauthorized', `the challenge is for another ${what}: ${actual}, not ${expected}`);
  }
}

function readDate(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) throw malformed(`${text} is not a time`);
  return date;
}

function malformed(why: string): PortalError {
  return new PortalError('protocol', `the challenge is malformed: ${why}`);
}

/** The relay sent a well-formed text. If it is malformed now, the agent signed another text. */
function readSigned(message: string): ChallengeFields {
  try {
    return readChallenge(message);
  } catch (error) {
    throw new PortalError('unauthorized', asPortalError(error).message, { cause: error });
  }
}
