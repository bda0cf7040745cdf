import { expect, it } from 'vitest';
import type { AccessEntry } from '../../agent/access-log.js';
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

it('has the form of the Common Log Format after the host and its port', () => {
  expect(commonLogLine(entry)).toBe(
    'web.example.com:443 203.0.113.7 - - [01/Dec/2026:16:20:05 +0000] "GET /index.html?a=b HTTP/1.1" 200 2326',
  );
  expect(commonLogLine({ ...entry, authority: 'web.localhost:8443' })).toMatch(/^web\.localhost:8443 203\./);
  // A visitor chooses the authority, which must not look like another field.
  expect(commonLogLine({ ...entry, authority: 'a b"' })).toMatch(/^a\\x20b\\x22:443 203\./);
  expect(commonLogLine({ ...entry, authority: '' })).toMatch(/^-:443 203\./);
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
