import { assert, assertSame, built, timed } from '../check.mjs';
import { jsonMutations } from '../json.mjs';

/** The decoders of control messages. */

export async function load() {
  const { decodeFromAgent, decodeFromRelay, encode } = await built('protocol/decode.js');
  const { PortalError } = await built('lib/errors.js');
  const decoders = { agent: decodeFromAgent, relay: decodeFromRelay };
  // Most inputs are rejected, and a stack trace for each costs more than all other work.
  Error.stackTraceLimit = 0;

  return {
    corpus: CONTROL_MESSAGES.map((message) => Buffer.from(JSON.stringify(message))),
    mutations: jsonMutations,
    check(input) {
      const verdicts = Object.entries(decoders).map(([side, decode]) => {
        let message;
        try {
          message = timed(() => decode(input));
        } catch (error) {
          assert(error instanceof PortalError && error.code === 'protocol', `threw ${error}`);
          return `${side}: refused`;
        }
        assertSame(decode(encode(message)), message, 'a decoded message is not its own encoding');
        assert({}.polluted === undefined, 'the prototype of all objects was changed');
        return `${side}: ${message.type}`;
      });
      return verdicts.join(', ');
    },
  };
}

const CONTROL_MESSAGES = [
  {
    type: 'hello',
    protocol: 2,
    agent: { instance: 'i', version: '1' },
    address: `0x${'aB'.repeat(20)}`,
    nonce: 'ab'.repeat(16),
  },
  { type: 'prove', signature: `0x${'1b'.repeat(65)}` },
  { type: 'lease.open', id: 1, name: 'web', mode: 'stream', carrier: 'raw', metadata: { owner: 'team' } },
  { type: 'lease.close', id: 2, lease: 'l' },
  { type: 'lease.update', id: 3, lease: 'l', metadata: {} },
  {
    type: 'challenge',
    message: 'localhost wants you to sign in',
    relay: { address: `0x${'aB'.repeat(20)}`, signature: `0x${'1b'.repeat(65)}` },
  },
  {
    type: 'welcome',
    session: 's',
    publicPort: 443,
    capabilities: ['stream'],
    carriers: ['raw', 'tls'],
    heartbeatMs: 5000,
  },
  { type: 'lease.opened', id: 1, lease: 'l', hostname: 'web.localhost', url: 'https://web.localhost' },
  { type: 'ok', id: 2 },
  { type: 'error', id: 3, code: 'name_taken', message: 'taken', retryAfterMs: 5000 },
  { type: 'dial', carrier: 'raw', tickets: [{ connection: 'c', ticket: 't' }] },
  {
    type: 'visit',
    connection: 'c',
    lease: 'l',
    remote: { address: '::1', port: 1 },
  },
  { type: 'lease.revoked', lease: 'l', reason: 'r' },
  { type: 'drain', reason: 'r', reconnectAfterMs: 1 },
  { type: 'goaway', reason: 'r', reconnectAfterMs: 1 },
];
