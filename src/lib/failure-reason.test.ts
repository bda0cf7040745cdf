import { expect, it } from 'vitest';
import { PortalError } from './errors.js';
import { failureReason } from './failure-reason.js';

const system = (code: string): Error => Object.assign(new Error(`connect ${code} 10.0.0.1:443`), { code });

it.each([
  [system('EAI_AGAIN'), 'DNS does not respond (EAI_AGAIN)'],
  [system('ECONNREFUSED'), 'it refused the connection (ECONNREFUSED)'],
  [system('ECANCELED'), 'ECANCELED'],
  [new PortalError('timeout', 'the handshake timed out'), 'the handshake timed out'],
  [new Error('socket hang up'), 'socket hang up'],
])('%s', (error, reason) => {
  expect(failureReason(error)).toBe(reason);
});
