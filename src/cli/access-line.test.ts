import { expect, it } from 'vitest';
import type { AccessEntry } from '../agent/access-log.js';
import { commonLogLine } from './access-line.js';

const entry: AccessEntry = {
  event: 'access',
  time: '2026-12-01T16:20:05.123Z',
  service: 'web',
  remote: '203.0.113.7',
  method: 'GET',
  target: '/index.html?a=b',
  version: '1.1',
  authority: 'web.example.com',
  status: 200,
  responseBytes: 2_326,
  totalMs: 1.5,
};

it('has the form of the Common Log Format', () => {
  expect(commonLogLine(entry)).toBe(
    '203.0.113.7 - - [01/Dec/2026:16:20:05 +0000] "GET /index.html?a=b HTTP/1.1" 200 2326',
  );
  expect(commonLogLine({ ...entry, responseBytes: 0, status: 304 })).toMatch(/" 304 -$/);
});

it.each([
  ['/"x', '/\\x22x'],
  ['/\\', '/\\x5C'],
  ['/\u001b[31m', '/\\x1B[31m'],
  ['/\n', '/\\x0A'],
  ['/é', '/\\xC3\\xA9'],
])('escapes %j', (target, shown) => {
  expect(commonLogLine({ ...entry, target })).toContain(`"GET ${shown} HTTP/1.1"`);
});
