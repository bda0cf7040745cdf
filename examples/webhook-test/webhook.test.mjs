import { expect } from 'vitest';
import { test } from './fixtures.mjs';

test('accepts a signed webhook', async ({ receiver, send, tunnel }) => {
  const body = JSON.stringify({ event: 'paid' });
  await send(body, receiver.signatureOf(body));
  const request = await tunnel.waitForRequest({ method: 'POST', path: '/webhook' });
  expect(request.body.json()).toEqual({ event: 'paid' });
  expect(request.response.status).toBe(202);
});

test('rejects a forged one', async ({ send, tunnel }) => {
  await send('{}', 'forged');
  const { response } = await tunnel.waitForRequest('/webhook');
  expect(response.status).toBe(401);
});
