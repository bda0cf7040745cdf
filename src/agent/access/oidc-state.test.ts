import { describe, expect, it } from 'vitest';
import { SIGN_IN_MS, SignIns, type SignInScope } from './oidc-state.js';

/** Sign-ins in progress, with a vector. */

const SIGN_INS = new SignIns(Buffer.alloc(32, 7));
const SCOPE: SignInScope = { hostname: 'App.Example.com', browser: 'b'.repeat(43), settings: 'oidc' };
const NOW = Date.parse('2026-03-01T12:00:00Z');
/** `[1772367000,"/reports?year=2026","AAECAwQFBgcICQoLDA0ODw"]` and its signature. */
const STATE =
  'WzE3NzIzNjcwMDAsIi9yZXBvcnRzP3llYXI9MjAyNiIsIkFBRUNBd1FGQmdjSUNRb0xEQTBPRHciXQ.zl5V1liK0vQLicQFqE70gdxWDQQ1rrLZqjE3VwrI9oA';

describe('a sign-in', () => {
  it('ends with the nonce and the verifier of its state', () => {
    expect(SIGN_INS.end(SCOPE, STATE, NOW)).toEqual({
      state: STATE,
      nonce: '6ZA7ZDvKHEMPttqpAXwNecZ9-tej4rX13zsYVayJ_WM',
      verifier: 'D4N8LlKnDq0V-spiXtDxGaWJFNZi4qpjEZ149e65NKE',
      to: '/reports?year=2026',
    });
  });

  it('is a new one each time, and ends at any agent of the identity', () => {
    const [one, other] = [SIGN_INS.begin(SCOPE, '/a', NOW), SIGN_INS.begin(SCOPE, '/a', NOW)];
    expect(new Set([one.state, other.state, one.nonce, other.nonce, one.verifier, other.verifier]).size).toBe(
      6,
    );
    expect(new SignIns(Buffer.alloc(32, 7)).end(SCOPE, one.state, NOW)).toEqual({ ...one, to: '/a' });
  });

  it.each<[string, Partial<SignInScope>, string, number]>([
    ['after its time', {}, STATE, NOW + SIGN_IN_MS],
    ['at another host', { hostname: 'api.example.com' }, STATE, NOW],
    ['in another browser', { browser: 'c'.repeat(43) }, STATE, NOW],
    ['with other settings', { settings: 'oidc 2' }, STATE, NOW],
    ['with another path', {}, STATE.replace('WzE3', 'WzE4'), NOW],
    ['without its signature', {}, STATE.replace(/\..*/, ''), NOW],
    ['with a cut signature', {}, STATE.slice(0, -1), NOW],
    ['without a state', {}, '', NOW],
  ])('does not end %s', (_what, over, state, now) => {
    expect(SIGN_INS.end({ ...SCOPE, ...over }, state, now)).toBeUndefined();
  });

  it('does not end with the key of another identity', () => {
    expect(new SignIns(Buffer.alloc(32, 8)).end(SCOPE, STATE, NOW)).toBeUndefined();
  });
});
