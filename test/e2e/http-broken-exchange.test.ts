import { expect, it } from 'vitest';
import { OPEN } from '../../src/agent/modes/http/ask-gates.js';
import { ExchangeAround } from '../../src/agent/modes/http/exchange/exchange-around.js';
import { edge, raw, rawTarget } from '../support/http-edge.js';
import { uncaught } from '../support/uncaught.js';

/** An error that no code expects ends one request, not the agent. */

const ASK = 'GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n';
const fail = (): never => {
  throw new Error('unexpected');
};

class FailsWhenPassed extends ExchangeAround {
  override onPassed(): void {
    fail();
  }
}

class FailsToBegin extends ExchangeAround {
  override begin(): void {
    fail();
  }
}

it.each([
  ['the gates have let it pass', FailsWhenPassed],
  ['its response begins', FailsToBegin],
])('an unexpected error when %s', async (_, Fails) => {
  const crashes = uncaught();
  const { port } = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const at = await edge({ '/': port }, { gates: { ...OPEN, ask: (exchange) => new Fails(exchange) } });
  expect(await raw(at, ASK)).toBe('');
  expect(crashes).toEqual([]);
});
