import { expect, it } from 'vitest';
import { PortalError } from '../../../../lib/errors.js';
import {
  BusyError,
  failurePage,
  HeadTooLargeError,
  isDown,
  isOverflow,
  SilentError,
  StalledError,
} from './failures.js';

const DOWN = new PortalError('target_down', 'refused');

it.each([
  [new HeadTooLargeError({ maxHeaders: 1, maxHeadBytes: 2 }), 502, 'response_headers_too_large'],
  [new BusyError(), 503, 'busy'],
  [new StalledError(), 408, 'request_timeout'],
  [new SilentError(), 504, 'target_timeout'],
  [DOWN, 503, 'target_down'],
  [new PortalError('target_untrusted', 'self-signed'), 502, 'target_untrusted'],
  [new Error('reset'), 502, 'bad_response'],
])('shows the page of %s', (error, status, code) => {
  expect(failurePage(error, 'app')).toMatchObject({ status, code });
});

it('names the service whose target is down, and got nothing', () => {
  expect(JSON.stringify(failurePage(DOWN, 'my-app'))).toContain('my-app');
  expect(isDown(DOWN)).toBe(true);
  expect(isDown(new PortalError('target_untrusted', 'self-signed'))).toBe(false);
});

it('recognises the error of a parser about too many header fields', () => {
  expect(isOverflow(Object.assign(new Error('overflow'), { code: 'HPE_HEADER_OVERFLOW' }))).toBe(true);
  expect(isOverflow(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))).toBe(false);
});
