import { expect, it } from 'vitest';
import { AcmeProblem, explainProblem } from './problem.js';
import { retryAfterMs } from './transport.js';

const problem = (type: string, detail = 'because'): AcmeProblem =>
  new AcmeProblem({ type: `urn:ietf:params:acme:error:${type}`, detail });

const ORDERED = { hostname: 'shop.test', owner: 'service', ca: 'ca.test' } as const;

it.each([
  ['caa', /may not issue this certificate \(because\)/, /CAA record of shop\.test/],
  ['dns', /found no address/, /A, AAAA or CNAME.*\*\.test/],
  ['connection', /could not connect/, /open 443\/tcp in its firewall/],
  ['unauthorized', /wrong response/, /open 443\/tcp in its firewall.* Every A and AAAA record/],
  ['tls', /TLS handshake/, /filter by ALPN/],
  ['rejectedIdentifier', /does not issue certificates for this name/, /policy/],
  ['externalAccountRequired', /requires an existing account/, /external account binding/],
])('explains %s in plain words', (type, message, hint) => {
  const error = explainProblem(problem(type), ORDERED);
  expect(error.code).toBe('acme_rejected');
  expect(error.message).toMatch(message);
  expect(error.message).toContain('no certificate for shop.test: ca.test');
  expect(error.hint).toMatch(hint);
});

const ofRelay = (type: string) => explainProblem(problem(type), { ...ORDERED, owner: 'relay' }).hint;

it('names this server and no agent in the hints of a relay', () => {
  expect(ofRelay('connection')).toContain('Let the CA reach port 443 of this server');
  expect(ofRelay('dns')).toContain("Create an A record for shop.test with this server's IPv4 address");
  for (const type of ['connection', 'dns', 'unauthorized']) expect(ofRelay(type)).not.toContain('doctor');
});

it('recognizes a missing DNS record that the CA reports by another type', () => {
  const error = explainProblem(problem('malformed', 'Could not resolve URL "https://x/y"'), ORDERED);
  expect(error.message).toContain('found no address');
  expect(error.hint).toContain('points shop.test to the relay');
});

it.each(['badNonce', 'serverInternal'])('retries soon after %s', (type) => {
  expect(explainProblem(problem(type), ORDERED)).toMatchObject({
    code: 'acme_unreachable',
    hint: expect.stringContaining('tries again soon') as string,
  });
});

it('forwards the reason of an unknown problem', () => {
  const error = explainProblem(problem('somethingNew', 'it is Sunday'), ORDERED);
  expect(error).toMatchObject({ code: 'acme_rejected', hint: undefined });
  expect(error.message).toContain('it is Sunday');
});

it('waits an hour after a rate limit without Retry-After', () => {
  const error = explainProblem(problem('rateLimited'), ORDERED);
  expect(error).toMatchObject({ code: 'acme_rate_limited', retryAfterMs: 3_600_000 });
});

it('reports the first subproblem', () => {
  const compound = new AcmeProblem({
    type: 'urn:ietf:params:acme:error:compound',
    detail: 'errors',
    subproblems: [{ type: 'urn:ietf:params:acme:error:caa', detail: 'no' }],
  });
  expect(compound).toMatchObject({ type: 'caa', detail: 'no' });
});

it.each([
  { type: 5, detail: 7 },
  { type: null, detail: { nested: true } },
  { type: 'urn:ietf:params:acme:error:compound', subproblems: {} },
  { type: 'urn:ietf:params:acme:error:compound', subproblems: [null] },
  { type: 'urn:ietf:params:acme:error:compound', subproblems: 'caa' },
  [],
])('treats a malformed document as a rejection without a reason: %j', (document) => {
  expect(new AcmeProblem(document as never)).toMatchObject({ detail: 'no reason given' });
});

it.each([
  ['120', 120_000],
  ['Thu, 01 Jan 1970 00:02:00 GMT', 120_000],
  ['0', undefined],
  ['soon', undefined],
  ['9999999999', 7 * 24 * 3_600_000],
  ['9'.repeat(400), 7 * 24 * 3_600_000],
  ['Thu, 01 Jan 2099 00:00:00 GMT', 7 * 24 * 3_600_000],
  [undefined, undefined],
])('Retry-After: %s', (header, ms) => {
  expect(retryAfterMs(header, 0)).toBe(ms);
});
