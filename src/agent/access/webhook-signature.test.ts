import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { WebhookSpec } from '../spec.js';
import { verifySignature } from './webhook-signature.js';

const NOW_S = 1_700_000_000;

function verify(spec: WebhookSpec, fields: Record<string, string>, body: string, nowS = NOW_S) {
  return verifySignature({ field: (name) => fields[name] ?? '', body: Buffer.from(body) }, spec, nowS);
}

const hmac = (secret: string, text: string, algorithm = 'sha256'): string =>
  createHmac(algorithm, secret).update(text).digest('hex');

describe('a webhook of GitHub', () => {
  // From https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
  const spec: WebhookSpec = { provider: 'github', secret: "It's a Secret to Everybody" };
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';

  it('is valid with the signature of the documentation', () => {
    expect(verify(spec, { 'x-hub-signature-256': signature }, 'Hello, World!')).toBeUndefined();
  });

  it.each([
    ['another body', 'Hello, World', signature, 'wrong'],
    ['a changed signature', 'Hello, World!', signature.replace(/7$/, '6'), 'wrong'],
    ['a cut signature', 'Hello, World!', signature.slice(0, -2), 'wrong'],
    ['an empty signature', 'Hello, World!', 'sha256=', 'wrong'],
    ['no signature', 'Hello, World!', '', 'missing'],
  ])('is rejected with %s', (_what, body, given, problem) => {
    expect(verify(spec, { 'x-hub-signature-256': given }, body)).toBe(problem);
  });

  it('is rejected with the old SHA-1 signature alone', () => {
    const sha1 = `sha1=${hmac(spec.secret, 'Hello, World!', 'sha1')}`;
    expect(verify(spec, { 'x-hub-signature': sha1 }, 'Hello, World!')).toBe('missing');
  });
});

describe('a webhook of Slack', () => {
  // From https://docs.slack.dev/authentication/verifying-requests-from-slack
  const spec: WebhookSpec = { provider: 'slack', secret: '8f742231b10e8888abcd99yyyzzz85a5' };
  const sentAt = 1_531_420_618;
  const body =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  const fields = {
    'x-slack-request-timestamp': String(sentAt),
    'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
  };

  it('is valid with the signature of the documentation, for 5 minutes', () => {
    expect(verify(spec, fields, body, sentAt + 300)).toBeUndefined();
    expect(verify(spec, fields, body, sentAt - 300)).toBeUndefined();
    expect(verify(spec, fields, body, sentAt + 301)).toBe('old');
    expect(verify(spec, fields, body, sentAt - 301)).toBe('old');
  });

  it('is rejected with another time, body or secret', () => {
    const later = { ...fields, 'x-slack-request-timestamp': String(sentAt + 1) };
    expect(verify(spec, later, body, sentAt)).toBe('wrong');
    expect(verify(spec, fields, `${body}&a=b`, sentAt)).toBe('wrong');
    expect(verify({ ...spec, secret: 'another' }, fields, body, sentAt)).toBe('wrong');
    expect(verify(spec, { 'x-slack-signature': fields['x-slack-signature'] }, body, sentAt)).toBe('missing');
  });
});

const field = (text: string) => ({ 'stripe-signature': text });

describe('a webhook of Stripe', () => {
  // The scheme of https://docs.stripe.com/webhooks/signature, which has no vector.
  const spec: WebhookSpec = { provider: 'stripe', secret: 'whsec_portal' };
  const body = '{"id":"evt_1"}';
  const signed = (time: number, secret = spec.secret): string => hmac(secret, `${time}.${body}`);

  it('is valid with one of several signatures, for 5 minutes', () => {
    const both = field(`t=${NOW_S},v1=${signed(NOW_S, 'whsec_next')},v1=${signed(NOW_S)},v0=1`);
    expect(verify(spec, both, body)).toBeUndefined();
    expect(verify(spec, both, body, NOW_S + 301)).toBe('old');
  });

  it.each([
    ['a signature of another time', `t=${NOW_S},v1=${signed(NOW_S - 1)}`, 'wrong'],
    ['a signature of another scheme', `t=${NOW_S},v0=${signed(NOW_S)}`, 'missing'],
    ['no time', `v1=${signed(NOW_S)}`, 'missing'],
    ['an invalid time', `t=now,v1=${hmac(spec.secret, `now.${body}`)}`, 'old'],
    ['nothing', '', 'missing'],
  ])('is rejected with %s', (_what, text, problem) => {
    expect(verify(spec, field(text), body)).toBe(problem);
  });
});

describe('a webhook of another sender', () => {
  const spec: WebhookSpec = { header: 'x-signature', algorithm: 'sha512', secret: 'a long secret' };
  const digest = createHmac('sha512', spec.secret).update('body').digest();

  it.each([
    ['hex', digest.toString('hex')],
    ['hex in upper case', digest.toString('hex').toUpperCase()],
    ['base64', digest.toString('base64')],
    ['base64url', digest.toString('base64url')],
    ['the name of the algorithm and hex', `sha512=${digest.toString('hex')}`],
  ])('is valid with a signature in %s', (_what, text) => {
    expect(verify(spec, { 'x-signature': text }, 'body')).toBeUndefined();
  });

  it('is rejected with the signature of another algorithm or body', () => {
    expect(verify(spec, { 'x-signature': hmac(spec.secret, 'body') }, 'body')).toBe('wrong');
    expect(verify(spec, { 'x-signature': digest.toString('hex') }, 'Body')).toBe('wrong');
  });
});
