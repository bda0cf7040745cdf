import { afterEach, beforeEach, expect, it } from 'vitest';
import { expose } from 'portal-up';
import { startReceiver } from './receiver.mjs';

let receiver;
let tunnel;
beforeEach(async () => {
  receiver = await startReceiver('secret');
  tunnel = await expose(receiver.port, { inspect: true });
});
afterEach(async () => {
  await tunnel.close();
  receiver.close();
});

/** As the provider sends it, to the public URL. A real provider gets `tunnel.url` when the test subscribes. */
const send = (body, signature) =>
  tunnel.fetch('/webhook', { method: 'POST', headers: { 'X-Signature': signature }, body });

it('accepts a signed webhook', async () => {
  const body = JSON.stringify({ event: 'paid' });
  await send(body, receiver.signatureOf(body));
  const request = await tunnel.waitForRequest({ method: 'POST', path: '/webhook' });
  expect(request.body.json()).toEqual({ event: 'paid' });
  expect(request.response.status).toBe(202);
});

it('rejects a forged one', async () => {
  await send('{}', 'forged');
  const { response } = await tunnel.waitForRequest('/webhook');
  expect(response.status).toBe(401);
});
