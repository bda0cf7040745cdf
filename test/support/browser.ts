import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { onTestFinished, type TestContext } from 'vitest';
import { programFor } from './debian.js';

/** A real browser for a test. Skips the test, with the reason, if no browser is available. */
export async function browserPage(
  context: TestContext,
  options: BrowserContextOptions & { readonly env?: Record<string, string> } = {},
): Promise<Page> {
  const { env, ...page } = options;
  const program = await programFor(context, 'chromium');
  const browser: Browser = await chromium.launch({
    executablePath: program,
    // Chromium's sandbox is unavailable to root.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
    ...(env && { env }),
  });
  onTestFinished(() => browser.close());
  // The local CA of a test is in no trust store.
  const one = await browser.newContext({ ignoreHTTPSErrors: true, ...page });
  return one.newPage();
}
