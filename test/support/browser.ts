import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { onTestFinished, type TestContext } from 'vitest';
import { programFor } from './debian.js';

/** A real browser for a test; skips the test, with the reason, where there is none. */
export async function browserPage(
  context: TestContext,
  options: BrowserContextOptions & { readonly env?: Record<string, string> } = {},
): Promise<Page> {
  const { env, ...page } = options;
  const program = await programFor(context, 'chromium');
  const browser: Browser = await chromium.launch({
    executablePath: program,
    // As root there is no sandbox of its own to be had.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
    ...(env && { env }),
  });
  onTestFinished(() => browser.close());
  // The local CA of a test is in nobody's trust store.
  const one = await browser.newContext({ ignoreHTTPSErrors: true, ...page });
  return one.newPage();
}
