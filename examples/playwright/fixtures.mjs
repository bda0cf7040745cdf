import { test as base } from '@playwright/test';
import { up } from 'portal-up';

export { expect } from '@playwright/test';

export const test = base.extend({
  /** Starts the app, and publishes it: once for each worker. */
  portal: [
    async ({}, use) => {
      const app = { command: 'node app.mjs', inspect: true };
      const portal = await up({ services: { app } }, { cwd: import.meta.dirname });
      await use(portal);
      await portal.close();
    },
    { scope: 'worker' },
  ],
  /** So that a test can visit a path. */
  baseURL: async ({ portal }, use) => use(portal.services.app.url),
});
