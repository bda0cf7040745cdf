import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { pinPage } from '../access/pin-page.js';
import { rawPage, formatted, type Page } from './page.js';
import { notRunning, PAGES } from './pages.js';
import { foreignRequest, fromAnotherSite, notAllowed, notIdentified } from '../access/gate-pages.js';
import { signOutPage } from '../access/oidc-pages.js';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

const field = ({ headers }: { headers: readonly string[] }, name: string): string | undefined =>
  headers[headers.findIndex((each, i) => i % 2 === 0 && each === name) + 1];

const ALL: readonly Page[] = [
  ...Object.values(PAGES),
  notRunning('app'),
  notAllowed('203.0.113.7'),
  pinPage({ service: 'app', to: '/' }),
  pinPage({ service: 'app', to: '/', outcome: 'wait', waitS: 30 }),
];

describe('a page of Portal itself', () => {
  it.each([
    [BROWSER, 'text/html; charset=utf-8'],
    ['application/json', 'application/json'],
    ['application/problem+json, text/plain;q=0.5', 'application/json'],
    ['*/*', 'text/plain; charset=utf-8'],
    ['', 'text/plain; charset=utf-8'],
  ])('for Accept: %s is %s', (accept, type) => {
    expect(field(formatted(notRunning('app'), accept), 'Content-Type')).toBe(type);
  });

  it('tells programs what happened, in text and in JSON', () => {
    expect(formatted(notRunning('app'), '*/*').body).toBe(
      'app is not running. The tunnel works, but the service behind it does not respond. Try again in 3 seconds.\n' +
        'Is this your service? Start it. `portal status` shows why Portal cannot reach it.\n',
    );
    expect(JSON.parse(formatted(notRunning('a"\n'), 'application/json').body)).toMatchObject({
      status: 503,
      error: 'target_down',
      message: expect.stringContaining('a"  is not running') as string,
    });
  });

  it('is never stored or indexed, and in a browser loads nothing, and runs only the script that reloads it', () => {
    for (const each of ALL) {
      const shown = formatted(each, BROWSER);
      expect(field(shown, 'Cache-Control')).toBe('no-store');
      expect(field(shown, 'X-Robots-Tag')).toBe('noindex');
      expect(field(shown, 'Content-Security-Policy')).toContain("default-src 'none'");
      expect(shown.body).not.toMatch(/src=|href=|url\(|@import/);
      const script = /<script>([^]*)<\/script>/.exec(shown.body)?.[1];
      const hash = script && createHash('sha256').update(script).digest('base64');
      const allowed = /script-src 'sha256-(\S+)'/.exec(field(shown, 'Content-Security-Policy')!)?.[1];
      expect(allowed).toBe(hash);
      expect(shown.body.length).toBeLessThan(4_096);
    }
  });

  it('cannot be framed by another site if it has a form, or answers a request of that site', () => {
    const pages = [pinPage({ service: 'app', to: '/' }), signOutPage('app'), foreignRequest, fromAnotherSite];
    for (const each of pages) {
      const policy = field(formatted(each, BROWSER), 'Content-Security-Policy');
      expect(policy).toMatch(/form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/);
    }
    expect(field(formatted(notRunning('app'), BROWSER), 'Content-Security-Policy')).toContain(
      "form-action 'none'; base-uri 'none'",
    );
  });

  it('shows commands as code', () => {
    expect(formatted(notIdentified, BROWSER).body).toContain('with <code>portal connect</code>.');
  });

  it('escapes the name of the service', () => {
    const { body } = formatted(notRunning('<img src=x>"&'), BROWSER);
    expect(body).toContain('&#60;img src=x&#62;&#34;&#38; is not running');
    expect(body).not.toContain('<img');
  });

  it('makes a browser reload if waiting helps', () => {
    expect(formatted(notRunning('app'), BROWSER).body).toMatch(/data-wait="3"[^]*<script>/);
    expect(field(formatted(notRunning('app'), '*/*'), 'Retry-After')).toBe('3');
    expect(formatted(PAGES.noRoute, BROWSER).body).not.toContain('<script>');
  });

  it('in raw form states its length in bytes, and has no body for HEAD', () => {
    const [head = '', body = ''] = rawPage(notRunning('ü'), { accept: '*/*' }).split('\r\n\r\n');
    expect(head).toContain(`\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`);
    expect(rawPage(notRunning('ü'), { accept: '*/*', headOnly: true })).toBe(`${head}\r\n\r\n`);
  });
});
