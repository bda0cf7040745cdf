import { Readable } from 'node:stream';
import { assert, assertSame, built } from '../check.mjs';
import { jsonMutations } from '../json.mjs';

/** JSON of the sign-in: as a relay reads it from a program, and as a program reads it from a relay. */

const ADDRESS = `0x${'aB'.repeat(20)}`;
const CHANNEL = 'c4'.repeat(32);
const ASKED = [
  { address: ADDRESS, relayNonce: 'cd'.repeat(16) },
  { nonce: 'ab'.repeat(16), signature: `0x${'1b'.repeat(65)}` },
  { code: 'x'.repeat(43) },
];
const RESPONSES = [
  {
    nonce: 'ab'.repeat(16),
    message: 'localhost wants you to sign in',
    relay: { address: ADDRESS, signature: `0x${'1b'.repeat(65)}` },
  },
  { identity: ADDRESS, token: 'x'.repeat(43), expiresAt: '2026-03-01T00:00:00.000Z' },
  { url: 'https://localhost/agents#x', expiresAt: '2026-03-01T00:00:00.000Z' },
];

const request = (input) =>
  Object.assign(Readable.from([input]), { headers: { 'content-type': 'application/json' } });

export async function load() {
  const { HttpRefusal, readFields } = await built('relay/agents/http.js');
  const { SignIns } = await built('relay/agents/sign-in.js');
  const { readResponse } = await built('protocol/agents-decode.js');
  const { LIMITS } = await built('protocol/limits.js');
  const { PortalError } = await built('lib/errors.js');
  const { Tally } = await built('lib/tally.js');
  Error.stackTraceLimit = 0;
  const signIns = new SignIns({
    authority: 'localhost',
    url: 'https://localhost',
    // All inputs come from the same network.
    limits: { ...LIMITS, maxSignInsPerSecondPerAddress: Number.MAX_SAFE_INTEGER, maxSignIns: 1_000_000 },
    quotas: { refusals: new Tally() },
    denied: { check: () => undefined },
  });

  /** The outcome of `ask`. Only errors with a response are expected. */
  async function outcome(ask) {
    try {
      return await ask();
    } catch (error) {
      assert(error instanceof PortalError || error instanceof HttpRefusal, `threw ${error.stack}`);
      return error.code ?? `status ${error.status}`;
    }
  }

  return {
    corpus: [...ASKED, ...RESPONSES].map((value) => Buffer.from(JSON.stringify(value))),
    mutations: jsonMutations,
    async check(input) {
      const challenge = await outcome(async () => {
        const { address, relayNonce } = await readFields(request(input), ['address', 'relayNonce']);
        for (const value of [address, relayNonce])
          assertSame(typeof value, 'string', 'a field is not a string');
        const { nonce, message } = signIns.challenge(address, { remote: '192.0.2.1', channel: CHANNEL });
        assert(message.includes(nonce), 'the challenge has another nonce');
        // One attempt consumes the challenge.
        assertSame(
          await outcome(() => signIns.prove(nonce, '0x', CHANNEL)),
          'unauthorized',
          'proved without a signature',
        );
        return 'challenged';
      });
      const proof = await outcome(async () => {
        const { nonce, signature } = await readFields(request(input), ['nonce', 'signature']);
        signIns.prove(nonce, signature, CHANNEL);
        throw new Error('a forged proof was accepted');
      });
      const responses = [];
      for (const kind of ['challenge', 'signIn', 'link', 'agents', 'done'])
        responses.push(await outcome(() => (readResponse(kind, input.toString('utf8')), kind)));
      assert({}.polluted === undefined, 'the prototype of all objects was changed');
      const good = responses.filter((code) => code !== 'protocol').join(' ');
      return `challenge: ${challenge}, proof: ${proof}, response: ${good || 'refused'}`;
    },
  };
}
