/**
 * The challenge a relay sets and an agent signs: an EIP-4361 (Sign-In with Ethereum) text, so that a wallet
 * shows a person what they prove and to whom. Single use: its nonce belongs to one control channel.
 */
import { ParsedMessage } from '@spruceid/siwe-parser';
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { isChannel } from './channel.js';
import { LIMITS } from './limits.js';
import { INSPECTED } from './relay-proof.js';

/** What a signature is for: one for the one is never good for the other. */
export const STATEMENTS = {
  control: 'Prove that this identity may hold leases on this relay.',
  signIn: 'Sign in to see and manage the agents and names of this identity on this relay.',
} as const;

export interface ChallengeFields {
  /** Authority of the relay: host, with the port unless it is 443. */
  readonly domain: string;
  /** The identity to prove, checksummed by EIP-55. */
  readonly address: string;
  /** The relay's URL, on `domain`. */
  readonly uri: string;
  /** At least 8 letters and digits, never used before. */
  readonly nonce: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** The TLS session that the proof is good in, from `channelOf` at either end. */
  readonly channel: string;
  /** One line for the person, of the characters EIP-4361 allows there. */
  readonly statement?: string;
  readonly requestId?: string;
}

/** What the relay that set a challenge knows of it. */
export interface ProofExpectation {
  readonly address: string;
  readonly domain: string;
  readonly uri: string;
  readonly nonce: string;
  /** Of the TLS session that the proof came in. */
  readonly channel: string;
  /** One of `STATEMENTS`. */
  readonly statement: string;
  readonly now: Date;
}

/** How far ahead the clock of whoever issued a challenge may be. */
const CLOCK_SKEW_MS = 60_000;
/** EIP-4361 wants a chain. No chain is ever asked; 1 is Ethereum's main one, as wallets expect. */
const CHAIN_ID = 1;
const NONCE = /^[A-Za-z0-9]{8,}$/;
/** Begins the one resource of a challenge, which names the TLS session. */
const CHANNEL_URN = 'urn:portal:channel:';

/**
 * The text for `fields`. Throws `unauthorized` when the address is none, and a RangeError for values that
 * would forge another line of the text or that no reader accepts.
 */
export function buildChallenge(fields: ChallengeFields): string {
  const { domain, uri, nonce, issuedAt, expiresAt, channel, statement, requestId } = fields;
  if (!isChannel(channel)) throw new RangeError('a channel is 64 hex digits');
  if (!NONCE.test(nonce)) throw new RangeError('a nonce has at least 8 letters and digits, and nothing else');
  for (const value of [domain, uri, statement, requestId]) {
    if (value !== undefined && /[\r\n]/.test(value))
      throw new RangeError('a field of a challenge is one line');
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
 * The fields of a challenge text. Strict: throws `protocol` for what is not EIP-4361 to the letter, and for
 * what is but has no place in a challenge: no expiry, another chain, a not-before, or other resources than the one that
 * names the channel. Any other could hide a delegation of rights (EIP-5573) in what the agent signs.
 */
export function readChallenge(text: string): ChallengeFields {
  const parsed = parse(text);
  if (parsed.scheme !== undefined) throw malformed('its domain has a scheme');
  if (parsed.chainId !== CHAIN_ID) throw malformed(`its chain is not ${CHAIN_ID}`);
  if (parsed.notBefore !== undefined) throw malformed('it has a not-before');
  if (parsed.expirationTime === undefined) throw malformed('it has no expiry');
  return {
    domain: parsed.domain,
    address: parsed.address,
    uri: parsed.uri,
    nonce: parsed.nonce,
    issuedAt: readDate(parsed.issuedAt),
    expiresAt: readDate(parsed.expirationTime),
    channel: readChannel(parsed.resources),
    ...(parsed.statement ? { statement: parsed.statement } : {}),
    ...(parsed.requestId === undefined ? {} : { requestId: parsed.requestId }),
  };
}

/**
 * Relay side: accepts the proof that the holder of `expected.address` signed the very challenge that was set.
 * Throws `expired` when it came too late or too early, `unauthorized` for everything else; the message says what did not hold.
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
      `the challenge was not signed by ${fields.address}, or was changed since`,
    );
  }
}

/**
 * Agent side, before it signs: the challenge must be the one of the relay it is connected to (`domain`, as in
 * `ProofExpectation`), for its own `address`, for this very TLS session (`channel`), and short-lived; otherwise a hostile relay could pass on
 * another relay's challenge and use the signature there. Throws `protocol`, `unauthorized`, `expired`, or
 * `relay_untrusted` where the challenge is for another TLS session.
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
      `the relay asks to prove the identity to ${domain}, but the agent is connected to ${expected.domain}; nothing was signed. If ${domain} is the relay that is meant, write its URL with that name`,
    );
  }
  if (!URL.canParse(uri) || new URL(uri).host !== expected.domain.toLowerCase()) {
    throw new PortalError(
      'unauthorized',
      `the challenge is for ${uri}, which is not on ${domain}; nothing was signed`,
    );
  }
  expectSame('address', address.toLowerCase(), expected.address.toLowerCase());
  expectSame('statement', statement ?? '', expected.statement);
  if (channel !== expected.channel) {
    throw new PortalError(
      'relay_untrusted',
      `this connection to ${new URL(uri).origin} does not end at the relay that set the challenge; nothing was signed`,
      { hint: INSPECTED },
    );
  }
  checkTimes(fields, expected.now);
  if (expiresAt.getTime() - issuedAt.getTime() > LIMITS.challengeMs) {
    throw new PortalError(
      'unauthorized',
      'the challenge is good for more than 2 minutes; nothing was signed',
    );
  }
  return fields;
}

function checkTimes({ issuedAt, expiresAt }: ChallengeFields, now: Date): void {
  // Not for a person to mend alone: a clock that is set right by itself is enough.
  if (issuedAt.getTime() > now.getTime() + CLOCK_SKEW_MS) {
    throw new PortalError(
      'expired',
      `the challenge was issued at ${issuedAt.toISOString()}, but it is ${now.toISOString()} here: one of the clocks is wrong`,
    );
  }
  if (now >= expiresAt) {
    throw new PortalError(
      'expired',
      `the challenge was good until ${expiresAt.toISOString()}, and it is ${now.toISOString()} here: it came too late, or one of the clocks is wrong`,
    );
  }
}

function expectSame(what: string, actual: string, expected: string): void {
  if (actual !== expected) {
    throw new PortalError('unauthorized', `the challenge is for another ${what}: ${actual}, not ${expected}`);
  }
}

function parse(text: string): ParsedMessage {
  // The parser backtracks: what it is given is bounded.
  if (text.length > LIMITS.maxChallengeChars)
    throw malformed(`it has more than ${LIMITS.maxChallengeChars} characters`);
  try {
    return new ParsedMessage(text);
  } catch (error) {
    throw malformed('it is not an EIP-4361 text', error);
  }
}

function readChannel(resources: readonly string[] = []): string {
  const [resource = ''] = resources;
  const channel = resource.slice(CHANNEL_URN.length);
  if (resources.length === 1 && resource.startsWith(CHANNEL_URN) && isChannel(channel)) return channel;
  throw malformed(`its resources are not one \`${CHANNEL_URN}\` with 64 hex digits`);
}

function readDate(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) throw malformed(`${text} is no time`);
  return date;
}

function malformed(why: string, cause?: unknown): PortalError {
  return new PortalError('protocol', `the challenge is malformed: ${why}`, { cause });
}

/** A relay sent well-formed text: if it is no longer, whoever signed it signed something else. */
function readSigned(message: string): ChallengeFields {
  try {
    return readChallenge(message);
  } catch (error) {
    throw new PortalError('unauthorized', asPortalError(error).message, { cause: error });
  }
}
