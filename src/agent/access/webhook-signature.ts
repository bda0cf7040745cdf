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

type Verify = (request: SignedRequest, secret: string, nowS: number) => SignatureProblem | undefined;

const PROVIDERS: Readonly<Record<WebhookProvider, Verify>> = {
  // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
  github: ({ field, body }, secret) => {
    const given = field('x-hub-signature-256');
    if (given === '') return 'missing';
    return matches(given.replace(/^sha256=/, ''), hmac('sha256', secret, body)) ? undefined : 'wrong';
  },
  // https://docs.stripe.com/webhooks/signature: several signatures while a secret is replaced.
  stripe: ({ field, body }, secret, nowS) => {
    const pairs = field('stripe-signature')
      .split(',')
      .map((pair) => pair.trim().split('=', 2) as [string, string?]);
    const time = pairs.find(([key]) => key === 't')?.[1] ?? '';
    const given = pairs.filter(([key]) => key === 'v1').map(([, value = '']) => value);
    if (time === '' || given.length === 0) return 'missing';
    const expected = hmac('sha256', secret, `${time}.`, body);
    if (!given.some((each) => matches(each, expected))) return 'wrong';
    return isNow(time, nowS) ? undefined : 'old';
  },
  // https://docs.slack.dev/authentication/verifying-requests-from-slack
  slack: ({ field, body }, secret, nowS) => {
    const time = field('x-slack-request-timestamp');
    const given = field('x-slack-signature');
    if (time === '' || given === '') return 'missing';
    if (!matches(given.replace(/^v0=/, ''), hmac('sha256', secret, `v0:${time}:`, body))) return 'wrong';
    return isNow(time, nowS) ? undefined : 'old';
  },
};

/**
 * Checks the signature of a webhook, in constant time. Returns undefined if it is valid.
 *
 * @param nowS seconds since the epoch
 */
export function verifySignature(
  request: SignedRequest,
  spec: WebhookSpec,
  nowS: number,
): SignatureProblem | undefined {
  if ('provider' in spec) return PROVIDERS[spec.provider](request, spec.secret, nowS);
  const { header, algorithm, secret } = spec;
  const given = request.field(header);
  if (given === '') return 'missing';
  const value = given.startsWith(`${algorithm}=`) ? given.slice(algorithm.length + 1) : given;
  return matches(value, hmac(algorithm, secret, request.body)) ? undefined : 'wrong';
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

const isNow = (time: string, nowS: number): boolean =>
  /^\d{1,12}$/.test(time) && Math.abs(nowS - Number(time)) <= TOLERANCE_S;
