import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  accountDenied,
  providerDown,
  SIGN_IN_PAGES,
  signInRequired,
  signOutPage,
} from '../../src/agent/access/oidc-pages.js';
import { pinPage } from '../../src/agent/access/pin-page.js';
import { formatted, type Page } from '../../src/agent/pages/page.js';
import { changing, notRunning, notTrusted, PAGES } from '../../src/agent/pages/pages.js';
import {
  fromAnotherSite,
  linkInvalid,
  notAllowed,
  notIdentified,
  notSigned,
  signIn,
  tooMany,
} from '../../src/agent/access/gate-pages.js';
import { overflows, violationsIn } from '../support/accessible.js';
import { browserPage } from '../support/browser.js';
import { httpService } from '../support/world.js';

/** The pages that Portal itself sends, in a real browser. PORTAL_SCREENSHOTS=FOLDER keeps pictures of them. */

const NAME = 'a-service-with-quite-a-long-name';
const SHOWN: Readonly<Record<string, Page>> = {
  'not-running': notRunning('app'),
  'not-trusted': notTrusted(NAME),
  changing: changing('app'),
  'not-allowed': notAllowed('2001:db8:85a3:8d3:1319:8a2e:370:7348'),
  pin: pinPage({ service: 'staging', to: '/' }),
  'pin-wrong': pinPage({ service: NAME, to: '/', outcome: 'wrong' }),
  'pin-wait': pinPage({ service: 'staging', to: '/', outcome: 'wait', waitS: 240 }),
  misdirected: PAGES.misdirected,
  'another-site': fromAnotherSite,
  'no-route': PAGES.noRoute,
  'bad-gateway': PAGES.badGateway,
  'link-invalid': linkInvalid,
  'rate-limited': tooMany('requests', 30_000),
  private: notIdentified,
  password: signIn('wiki'),
  'password-wrong': signIn('wiki', { kind: 'wrong' }),
  'password-wait': signIn('wiki', { kind: 'wait', waitS: 30 }),
  'sign-in': signInRequired(NAME),
  'account-denied': accountDenied('someone.with.a.long.name@an-organisation.example.com'),
  'provider-down': providerDown('login.example.com', true),
  'provider-down-on-return': providerDown('login.example.com', false),
  'sign-in-expired': SIGN_IN_PAGES.expired,
  'sign-in-rejected': SIGN_IN_PAGES.rejected,
  'signed-out': SIGN_IN_PAGES.signedOut,
  'sign-out': signOutPage('board'),
  'sign-out-elsewhere': SIGN_IN_PAGES.crossSite,
  'signature-wrong': notSigned('wrong'),
};
/** Axe checks each page in both schemes, and at the last width of each. */
const VIEWS = [
  ['light', [390, 1_200]],
  ['dark', [1_200, 390]],
] as const;

it(
  'are accessible, narrow and wide, light and dark, and load nothing',
  { timeout: 300_000 },
  async (context) => {
    const page = await browserPage(context);
    const asked: string[] = [];
    const { port } = await httpService((request, response) => {
      const shown = SHOWN[request.url!.slice(1)];
      asked.push(request.url!);
      if (!shown) {
        response.writeHead(404).end();
        return;
      }
      const { headers, body } = formatted(shown, request.headers.accept ?? '');
      const fields = headers
        .flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : []))
        // A browser shows its own form for it, and this page after that.
        .filter(([name]) => name !== 'WWW-Authenticate');
      response
        .writeHead(shown.status, Object.fromEntries(fields) as Record<string, string>)
        // A reload would remove the page during the check.
        .end(body.replace(/<script>[^]*<\/script>/, ''));
    });
    const complaints: string[] = [];
    page.on('console', (message) => /policy/i.test(message.text()) && complaints.push(message.text()));
    for (const name of Object.keys(SHOWN)) {
      await page.goto(`http://127.0.0.1:${port}/${name}`);
      for (const [colorScheme, widths] of VIEWS) {
        await page.emulateMedia({ colorScheme });
        for (const width of widths) {
          await page.setViewportSize({ width, height: 800 });
          expect(await overflows(page), `${name} at ${width} px`).toBe(false);
          const folder = process.env['PORTAL_SCREENSHOTS'];
          if (folder)
            await page.screenshot({ path: join(folder, `page-${name}-${colorScheme}-${width}.png`) });
        }
        expect(await violationsIn(page), `${name} in ${colorScheme}`).toEqual([]);
      }
    }
    // A browser repeats a request whose response is 421.
    const others = new Set(asked.filter((path) => path !== '/favicon.ico'));
    expect([...others]).toEqual(Object.keys(SHOWN).map((name) => `/${name}`));
    expect(complaints).toEqual([]);
  },
);

it('of a service that is down reload at increasing intervals, and not while the tab is hidden', async (context) => {
  const page = await browserPage(context);
  const asked: (string | undefined)[] = [];
  const { port } = await httpService((request, response) => {
    if (request.url === '/') asked.push(request.headers.referer);
    const { headers, body } = formatted(notRunning('app'), request.headers.accept ?? '');
    for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i]!, headers[i + 1]!);
    response.writeHead(503).end(body);
  });
  await page.addInitScript({
    content:
      "Object.defineProperty(document, 'hidden', { get: () => sessionStorage.getItem('hidden') === 'yes' })",
  });
  await page.clock.install();
  // The time of a busy machine does not count.
  await page.clock.pauseAt(Date.now() + 1_000);
  const url = `http://127.0.0.1:${port}/`;
  const show = (hidden: 'yes' | 'no'): Promise<void> =>
    page.evaluate(
      `sessionStorage.setItem('hidden', '${hidden}'); document.dispatchEvent(new Event('visibilitychange'))`,
    );
  const reloadsAfter = async (seconds: number): Promise<void> => {
    const before = asked.length;
    await page.clock.runFor((seconds - 1) * 1_000);
    expect(asked).toHaveLength(before);
    const reloaded = page.waitForEvent('load');
    await page.clock.runFor(1_500);
    await reloaded;
    expect(asked).toHaveLength(before + 1);
  };
  await page.goto(url);
  for (const seconds of [3, 5, 10, 30, 30]) await reloadsAfter(seconds);
  // The inspector detects a reload by this.
  expect(asked).toEqual([undefined, url, url, url, url, url]);
  await show('yes');
  await page.clock.runFor(120_000);
  expect(asked).toHaveLength(6);
  const reloaded = page.waitForEvent('load');
  await show('no');
  await page.clock.runFor(100);
  await reloaded;
  expect(asked).toHaveLength(7);
});
