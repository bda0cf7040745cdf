import { expect, it } from 'vitest';
import { PAGES } from '../pages/pages.js';
import { beginRecording } from './recording.js';
import { refusedRecording } from './refused.js';

const HEAD = {
  method: 'GET',
  target: '/a?portal-share=secret&b=1',
  authority: 'app.example',
  version: '1.1',
};
const ORIGIN = { remote: '203.0.113.7', hostname: 'app.example' };

it('begins without the secret of a share link, and without a response', () => {
  const recording = beginRecording(7, 'app', {
    ...HEAD,
    ...ORIGIN,
    requestHeaders: ['Host', 'app.example'],
    upgrade: undefined,
    replayOf: undefined,
  });
  expect(recording).toMatchObject({ id: 7, service: 'app', method: 'GET', outcome: 'open', ...ORIGIN });
  expect(recording.target).toBe('/a?portal-share=***&b=1');
  expect(recording.status).toBeUndefined();
});

it('of a rejected request has the page that the visitor got', () => {
  const page = PAGES.badRequest;
  const recording = refusedRecording(8, 'app', { asked: HEAD, headers: [], ...ORIGIN, gate: 'pin', page });
  expect(recording).toMatchObject({
    outcome: 'done',
    status: 400,
    portal: { code: 'bad_request', gate: 'pin' },
  });
  expect(recording.target).not.toContain('secret');
});
