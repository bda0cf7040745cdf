import { expect, it } from 'vitest';
import { readAnswer } from './agents-decode.js';

/** Responses of a hostile relay. */

const agent = { identity: '0xA', own: true, state: 'connected', lastSeen: 'now', services: [] };
const answer = (over: object = {}) =>
  JSON.stringify({ relay: 'r', identity: '0xA', now: 'n', agents: [agent], names: [], ...over });

it('accepts a valid response, without unknown fields', () => {
  const read = readAnswer('agents', answer({ news: 1, agents: [{ ...agent, later: true }] }));
  expect(read).toEqual(JSON.parse(answer()));
});

it.each([
  ['text that is not JSON', 'portal'],
  ['a list', '[]'],
  ['null', 'null'],
  ['invalid agents', answer({ agents: [null] })],
  ['a machine that is not a string', answer({ agents: [{ ...agent, machine: { toString: 1 } }] })],
  ['an id with a path', answer({ agents: [{ ...agent, id: '../../names' }] })],
  ['an endless text', answer({ agents: [{ ...agent, machine: 'x'.repeat(10_000) }] })],
  [
    'a negative count',
    answer({ agents: [{ ...agent, services: [{ phase: 'ready', visitors: -1, bytesIn: 0, bytesOut: 0 }] }] }),
  ],
  ['names without ports', answer({ names: [{ name: 'web' }] })],
])('rejects %s', (_what, text) => {
  expect(() => readAnswer('agents', text)).toThrow(expect.objectContaining({ code: 'protocol' }));
});
