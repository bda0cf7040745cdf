import { createHmac, timingSafeEqual } from 'node:crypto';
import type { HmacAlgorithm, WebhookProvider, WebhookSpec } from '../spec.js';

/** How old a signature may be, and how far in the future: as the libraries of Stripe and Slack allow. */
const TOLERANCE_S = 300;

/** Why a webhook is rejected: no signature, another one, or one from another time. */
export type SignatureProblem = 'missing' | 'wrong' | 'old';

export interface SignedRequest {
  /** The value of a header field by its name in lower case; empty if it is absent. */
  readonly field: (name: string) => string;
  readonly body: Buffer;
}

/** The signatures of a request, and the time that they include. */
interface Signed {
  readonly given: readonly string[];
  readonly time?: string;
}

interface Scheme {
  /** Undefined if the signature is missing. */
  readonly read: (field: SignedRequest['field']) => Signed | undefined;
  /** What is signed before the body. */
  readonly prefix: (time: string) => string;
  readonly algorithm: HmacAlgorithm;
}

const PROVIDERS: Readonly<Record<WebhookProvider, Scheme>> = {
  // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
  github: {
    algorithm: 'sha256',
    prefix: () => '',
    read: (field) => {
      const given = field('x-hub-signature-256');
      return given === '' ? undefined : { given: [given.replace(/^sha256=/, '')] };
    },
  },
  // https://docs.stripe.com/webhooks/signature: several signatures while a secret is replaced.
  stripe: {
    algorithm: 'sha256',
    prefix: (time) => `${time}.`,
    read: (field) => {
      const pairs = field('stripe-signature')
        .split(',')
        .map((pair) => pair.trim().split('=', 2) as [string, string?]);
      const time = pairs.find(([key]) => key === 't')?.[1] ?? '';
      const given = pairs.filter(([key]) => key === 'v1').map(([, value = '']) => value);
      return time === '' || given.length === 0 ? undefined : { given, time };
    },
  },
  // https://docs.slack.dev/authentication/verifying-requests-from-slack
  slack: {
    algorithm: 'sha256',
    prefix: (time) => `v0:${time}:`,
    read: (field) => {
      const time = field('x-slack-request-timestamp');
      const given = field('x-slack-signature');
      return time === '' || given === '' ? undefined : { given: [given.replace(/^v0=/, '')], time };
    },
  },
};

function schemeOf(spec: WebhookSpec): Scheme {
  if ('provider' in spec) return PROVIDERS[spec.provider];
  const { header, algorithm } = spec;
  return {
    algorithm,
    prefix: () => '',
    read: (field) => {
      const given = field(header);
      if (given === '') return undefined;
      return { given: [given.startsWith(`${algorithm}=`) ? given.slice(algorithm.length + 1) : given] };
    },
  };
}

/**
 * Why a webhook is rejected whatever its body is: its signature is missing or old.
 *
 * @param nowS seconds since the epoch
 */
export function checkHead(
  field: SignedRequest['field'],
  spec: WebhookSpec,
  nowS: number,
): 'missing' | 'old' | undefined {
  const signed = schemeOf(spec).read(field);
  return signed ? checkTime(signed, nowS) : 'missing';
}

/**
 * Checks the signature of a webhook, in constant time. Returns undefined if it is valid.
 *
 * @param nowS seconds since the epoch
 */
export function verifySignature(
  { field, body }: SignedRequest,
  spec: WebhookSpec,
  nowS: number,
): SignatureProblem | undefined {
  const { read, prefix, algorithm } = schemeOf(spec);
  const signed = read(field);
  if (!signed) return 'missing';
  const { given, time = '' } = signed;
  const expected = hmac(algorithm, spec.secret, prefix(time), body);
  if (!given.some((each) => matches(each, expected))) return 'wrong';
  return checkTime(signed, nowS);
}

function hmac(algorithm: HmacAlgorithm, secret: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const sum = createHmac(algorithm, secret);
  for (const part of parts) sum.update(part);
  return sum.digest();
}

/** Whether `text` is `expected` in hex or base64. */
function matches(text: string, expected: Buffer): boolean {
  const isHex = text.length === expected.length * 2 && /^[0-9a-f]+$/i.test(text);
  const given = Buffer.from(text, isHex ? 'hex' : 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function checkTime({ time }: Signed, nowS: number): 'old' | undefined {
  if (time === undefined) return undefined;
  return /^\d{1,12}$/.test(time) && Math.abs(nowS - Number(time)) <= TOLERANCE_S ? undefined : 'old';
}
