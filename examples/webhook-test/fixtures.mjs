import { test as base } from 'vitest';
import { expose } from 'portal-up';
import { startReceiver } from './receiver.mjs';

export const test = base.extend({
  /** The program under test. */
  receiver: async ({}, use) => {
    const receiver = await startReceiver('secret');
    await use(receiver);
    receiver.close();
  },
  /** Its public URL. A real provider gets `tunnel.url` when the test subscribes. */
  tunnel: async ({ receiver }, use) => {
    const tunnel = await expose(receiver.port, { inspect: true });
    await use(tunnel);
    await tunnel.close();
  },
  /** Sends a webhook to the public URL, as the provider does. */
  send: async ({ tunnel }, use) => {
    await use((body, signature) =>
      tunnel.fetch('/webhook', { method: 'POST', headers: { 'X-Signature': signature }, body }),
    );
  },
});
