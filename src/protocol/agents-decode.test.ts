import { expect, it } from 'vitest';
import { readResponse } from './agents-decode.js';

/** Responses of a hostile relay. */

const agent = { identity: '0xA', own: true, state: 'connected', lastSeen: 'now', services: [] };
const response = (over: object = {}) =>
  JSON.stringify({ relay: 'r', identity: '0xA', now: 'n', agents: [agent], names: [], ...over });

it('accepts a valid response, without unknown fields', () => {
  const read = readResponse('agents', response({ news: 1, agents: [{ ...agent, later: true }] }));
  expect(read).toEqual(JSON.parse(response()));
});

it.each([
  ['text that is not JSON', 'portal'],
  ['a list', '[]'],
  ['null', 'null'],
  ['invalid agents', response({ agents: [null] })],
  ['a machine that is not a string', response({ agents: [{ ...agent, machine: { toString: 1 } }] })],
  ['an id with a path', response({ agents: [{ ...agent, id: '../../names' }] })],
  ['an endless text', response({ agents: [{ ...agent, machine: 'x'.repeat(10_000) }] })],
  [
    'a negative count',
    response({
      agents: [{ ...agent, services: [{ phase: 'ready', visitors: -1, bytesIn: 0, bytesOut: 0 }] }],
    }),
  ],
  ['names without ports', response({ names: [{ name: 'web' }] })],
])('rejects %s', (_what, text) => {
  expect(() => readResponse('agents', text)).toThrow(expect.objectContaining({ code: 'protocol' }));
});
