import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { createStyle } from '../text/style.js';
import type { ServiceView, View } from './model.js';
import { maxScroll } from './footer.js';
import { render, rowsOf } from './render.js';
import type { Screen } from './screen.js';

const service = (name: string, over: Partial<ServiceView> = {}): ServiceView => ({
  service: name,
  state: 'ready',
  addresses: [`https://${name}.localhost:8443`],
  target: 'localhost:3000',
  isReachable: true,
  problems: [],
  open: 2,
  held: 0,
  requests: 7,
  rate: { unit: 'requests', perSecond: 1.25 },
  lastStatus: 200,
  isLastOutdated: false,
  ...over,
});
const view = (services: readonly ServiceView[], over: Partial<View> = {}): View => ({
  services,
  relays: [{ name: 'embedded:8443', state: 'connected', rttMs: 1.4, error: undefined, nextTryS: undefined }],
  requests: [],
  inspector: undefined,
  ...over,
});
const screen = (columns: number, rows: number, over: Partial<Screen> = {}): Screen => ({
  columns,
  rows,
  wraps: true,
  style: createStyle(false),
  selected: 0,
  overlay: undefined,
  scroll: 0,
  message: undefined,
  hasKeys: true,
  ...over,
});
const DEAD = service('api', {
  state: 'target down',
  isReachable: false,
  problems: ['nothing listens on port 5999'],
  lastStatus: 503,
});
const many = (count: number): ServiceView[] =>
  Array.from({ length: count }, (_, index) => service(`svc${index}`));

const overlay = (): string[] => Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);

const titleAt = (unit: 'bytes' | 'requests', perSecond: number, columns: number): string =>
  render(view([service('web', { rate: { unit, perSecond } })]), screen(columns, 24))[0]!;

describe('the live view', () => {
  it('clears the error of the last response once the target has recovered', () => {
    const [, broken] = render(view([service('web', { lastStatus: 503 })]), screen(120, 40));
    expect(broken).toMatch(/1\.3\/s +503$/);
    const recovered = service('web', { lastStatus: 503, isLastOutdated: true });
    expect(render(view([recovered]), screen(120, 40))[1]).toMatch(/1\.3\/s *$/);
    const down = { ...recovered, isReachable: false };
    expect(render(view([down]), screen(120, 40))[1]).toMatch(/1\.3\/s +503$/);
    const before = service('web', { lastStatus: 200, isLastOutdated: true });
    expect(render(view([before]), screen(120, 40))[1]).toMatch(/1\.3\/s +200$/);
  });

  it('has a row for each service with its problems below it, relays and keys', () => {
    expect(render(view([service('web'), DEAD]), screen(120, 40))).toEqual([
      '  SERVICE  STATE        ADDRESS                     TARGET            OPEN  REQUESTS  RATE   LAST',
      '› ✓ web    ready        https://web.localhost:8443  ✓ localhost:3000  2     7         1.3/s  200',
      '  ! api    target down  https://api.localhost:8443  ✗ localhost:3000  2     7         1.3/s  503',
      '    nothing listens on port 5999',
      '  relay embedded:8443  connected  1 ms',
      '  o open · c copy · q QR code · ? help · Ctrl-C stop',
    ]);
  });

  it.each([120, 100, 80, 60, 50])(
    'has a heading for each column, and each state, at %i columns',
    (columns) => {
      const lost = service('web', {
        state: 'retrying',
        addresses: ['https://quick-cloud-n8qt.tunnel.example.com'],
        target: 'unix:/var/run/app/web.sock',
      });
      const lines = render(view([lost]), screen(columns, 24));
      const titles = lines.slice(
        0,
        lines.findIndex((line) => line.includes('! web')),
      );
      const row = lines[titles.length]!;
      expect(titles[0]!.trim().split(/ {2,}/).slice(0, 2)).toEqual(['SERVICE', 'STATE']);
      expect(row).toContain('retrying');
      expect(row.includes('✓')).toBe(titles[0]!.includes('TARGET'));
      expect(titles.join('\n').match(/ADDRESS/g)).toHaveLength(1);
      // Each value begins below its title.
      for (const [at, line] of titles.entries())
        for (const { index } of line.matchAll(/(?<= {2})\S/g))
          expect(lines[titles.length + at]![index]).toMatch(/\S/);
    },
  );

  it('keeps its columns while rates change', () => {
    for (let columns = 60; columns <= 120; columns++) {
      const bytes = [0, 900, 12_345, 999_900_000].map((rate) => titleAt('bytes', rate, columns));
      expect(new Set(bytes).size, `${columns} columns`).toBe(1);
      const requests = [0, 1.25, 12, 999].map((rate) => titleAt('requests', rate, columns));
      expect(new Set(requests).size, `${columns} columns`).toBe(1);
    }
  });

  it('puts addresses below their services if a row has no room for them', () => {
    const long = service('web', { addresses: ['https://quick-cloud-n8qt.tunnel.example.com'] });
    expect(render(view([long]), screen(80, 24)).slice(0, 4)).toEqual([
      '  SERVICE  STATE  TARGET            OPEN  REQUESTS  RATE   LAST',
      '    ADDRESS',
      '  ✓ web    ready  ✓ localhost:3000  2     7         1.3/s  200',
      '    https://quick-cloud-n8qt.tunnel.example.com',
    ]);
  });

  it.each([
    [
      120,
      [
        '  SERVICE  STATE                ADDRESS                     TARGET            OPEN  REQUESTS  RATE   LAST',
        '› … web    starting             https://web.localhost:8443    localhost:3000  2     7         1.3/s',
        '    waiting for api',
        '  ! api    target down, 3 held  https://api.localhost:8443  ✗ localhost:3000  2     7         1.3/s  503',
        '    nothing listens on port 5999',
      ],
    ],
    [
      80,
      [
        '  SERVICE  STATE                TARGET            OPEN  REQUESTS  RATE   LAST',
        '    ADDRESS',
        '› … web    starting               localhost:3000  2     7         1.3/s',
        '    https://web.localhost:8443',
        '    waiting for api',
        '  ! api    target down, 3 held  ✗ localhost:3000  2     7         1.3/s  503',
        '    https://api.localhost:8443',
        '    nothing listens on port 5999',
      ],
    ],
    [
      50,
      [
        '  SERVICE  STATE                OPEN',
        '    ADDRESS',
        '› … web    starting             2',
        '    https://web.localhost:8443',
        '    waiting for api',
        '  ! api    target down, 3 held  2',
        '    https://api.localhost:8443',
        '    nothing listens on port 5999',
      ],
    ],
  ])('shows a starting service and held requests at %i columns', (columns, lines) => {
    const starting = service('web', {
      state: 'starting',
      isReachable: undefined,
      problems: ['waiting for api'],
      lastStatus: undefined,
    });
    const shown = render(view([starting, { ...DEAD, held: 3 }]), screen(columns, 24));
    expect(
      shown.slice(
        0,
        shown.findIndex((line) => line.includes('relay')),
      ),
    ).toEqual(lines);
    expect(Math.max(...shown.map((line) => stringWidth(line)))).toBeLessThan(columns);
  });

  it('keeps the round trip of a relay on one line', () => {
    const relay = { name: 'https://tunnel.example.com', state: 'connected', rttMs: 1 } as const;
    const relays = [{ ...relay, error: undefined, nextTryS: undefined }];
    const lines = (columns: number): string[] =>
      render(view([service('web')], { relays }), screen(columns, 24)).slice(-3, -1);
    expect(lines(80).at(-1)).toBe('  relay https://tunnel.example.com  connected  1 ms');
    expect(lines(50)).toEqual(['  relay https://tunnel.example.com', '  connected  1 ms']);
  });

  it.each([120, 80, 50])('shows each address unbroken at %i columns', (columns) => {
    const long = service('a-service-with-a-long-name', {
      addresses: [`https://a-service-with-a-long-name.${'tunnel.'.repeat(6)}example.com`],
    });
    const lines = render(view([service('web'), long, DEAD]), screen(columns, 40));
    for (const address of [...long.addresses, ...DEAD.addresses]) {
      const line = lines.find((each) => each.includes(address));
      expect(line).toBeDefined();
      // Text longer than a line begins at the left edge, so that the terminal wraps only this text.
      expect(line === address || stringWidth(line!) < columns).toBe(true);
      // Shorter ones have the indentation of other lines below a service.
      expect(stringWidth(address) + 4 >= columns || /^( {4}\S|[›\s] )/.test(line!)).toBe(true);
    }
    const others = lines.filter((line) => !line.startsWith('https:'));
    expect(Math.max(...others.map((line) => stringWidth(line)))).toBeLessThan(columns);
  });

  it.each([
    [120, 40],
    [80, 24],
    [50, 20],
  ])('fits 30 services on %ix%i, with the selected one visible', (columns, rows) => {
    const services = [...many(29), DEAD];
    for (const selected of [0, 14, 29]) {
      const lines = render(view(services), screen(columns, rows, { selected }));
      expect(rowsOf(lines, columns)).toBeLessThan(rows);
      expect(lines.filter((line) => line.startsWith('›'))).toHaveLength(1);
      expect(lines.find((line) => line.startsWith('›'))).toContain(services[selected]!.service);
    }
    const folded = render(view(services), screen(columns, 20)).join('\n');
    expect(folded).toMatch(/and \d+ more \(↑↓\): target down: api/);
  });

  it.each([
    [120, 30],
    [80, 24],
  ])('leaves room to wrap 30 services on a terminal of %ix%i that becomes half as wide', (columns, rows) => {
    const services = [...many(29), DEAD];
    const lines = render(view(services), screen(columns, rows));
    expect(rowsOf(lines, columns / 2)).toBeLessThan(rows);
    const cuts = render(view(services), screen(columns, rows, { wraps: false }));
    expect(cuts.length).toBeGreaterThan(lines.length);
    expect(rowsOf(cuts, columns)).toBeLessThan(rows);
  });

  it('shows the latest requests if there is room, and sums up many relays in one line', () => {
    const requests = [1, 2, 3].map((second) => ({
      time: new Date(2026, 0, 1, 12, 0, second),
      service: 'web',
      what: 'GET /',
      status: '200',
      ms: 12.3,
    }));
    const relays = [10, 20, 30, undefined].map((rttMs, index) => ({
      name: `https://r${index}`,
      state: rttMs === undefined ? ('retrying' as const) : ('connected' as const),
      rttMs,
      error: undefined,
      nextTryS: undefined,
    }));
    const text = render(view([service('web')], { requests, relays }), screen(80, 24)).join('\n');
    expect(text).toContain('  12:00:03  web  200  GET /  12 ms');
    expect(text).toContain('  3 relays connected (10–30 ms), 1 not: https://r3');
  });

  it('shows why a relay was lost, and when the agent retries', () => {
    const lost = {
      name: 'https://r',
      state: 'retrying',
      rttMs: undefined,
      error: 'refused',
      nextTryS: 3,
    } as const;
    const lines = (over: object): string[] =>
      render(view([service('web')], { relays: [{ ...lost, ...over }] }), screen(80, 24)).slice(2, -1);
    expect(lines({})).toEqual(['  relay https://r  retrying, next try in 3 s', '    refused']);
    expect(lines({ nextTryS: undefined })).toEqual(['  relay https://r  retrying', '    refused']);
    expect(lines({ isLeaving: true })[0]).toBe(
      '  relay https://r  retrying, no longer in portal.yaml, next try in 3 s',
    );
  });

  it('breaks the line of a lost relay between words on a narrow terminal', () => {
    const relay = { name: 'https://tunnel.example.com', state: 'retrying', rttMs: undefined } as const;
    const relays = [{ ...relay, error: 'refused', nextTryS: 3 }];
    expect(render(view([service('web')], { relays }), screen(50, 24)).slice(4, -1)).toEqual([
      '  relay https://tunnel.example.com  retrying,',
      '  next try in 3 s',
      '    refused',
    ]);
  });

  it('shows – where requests are not counted', () => {
    const game = service('game', { requests: undefined, rate: { unit: 'bytes', perSecond: 0 } });
    expect(render(view([game]), screen(120, 24))[1]).toMatch(/ 2 +– +0 B\/s/);
  });

  it.each([120, 80, 50])('breaks long errors between words, and loses nothing, at %i columns', (columns) => {
    const why = `${'the relay rejected the request for a reason that needs a long sentence, '.repeat(3)}see example.com`;
    const relay = { name: 'https://r', state: 'retrying', rttMs: undefined, nextTryS: 3 } as const;
    const lines = render(
      view([service('web', { state: 'failed', problems: [why] })], { relays: [{ ...relay, error: why }] }),
      screen(columns, 40),
    );
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThan(columns);
    const words = lines.map((line) => line.trim()).join(' ');
    expect(words.split(why)).toHaveLength(3);
  });

  it('never has more rows than the screen, and says where the rest of an error is', () => {
    const why = 'a reason that needs a long sentence '.repeat(20);
    const lost = { name: 'https://r', state: 'retrying', rttMs: undefined, nextTryS: 3, error: why } as const;
    const services = [service('web', { state: 'failed', problems: [why] }), service('api')];
    const lines = render(view(services, { relays: [lost, lost] }), screen(50, 14));
    expect(rowsOf(lines, 50)).toBeLessThan(14);
    expect(lines.find((line) => line.includes('✗ web'))).toBeDefined();
    expect(lines.join('\n')).toMatch(/… {2}portal status shows the rest/);
    expect(lines.at(-1)).toContain('Ctrl-C stop');
  });

  it.each([120, 50, 20])('shows the key of the inspector while it runs, at %i columns', (columns) => {
    const keys = (inspector?: string): string => render(view([], { inspector }), screen(columns, 24)).at(-1)!;
    expect(keys('http://localhost:4040')).toMatch(columns < 50 ? / i / : /i inspector/);
    expect(keys()).not.toContain('inspector');
    expect(stringWidth(keys('http://localhost:4040'))).toBeLessThan(columns);
  });

  it.each([80, 60, 50, 45, 40])('says what each shown key does, at %i columns', (columns) => {
    const keys = render(view([], { inspector: 'http://localhost:4040' }), screen(columns, 24)).at(-1)!;
    for (const key of keys.trim().split(' · ')) expect(key).toMatch(/^\S+ \w/);
  });

  it.each([120, 80, 50, 40])('shows how to stop and where help is, at %i columns', (columns) => {
    for (const inspector of [undefined, 'http://localhost:4040'])
      expect(render(view([], { inspector }), screen(columns, 24)).at(-1)).toMatch(/\? help · Ctrl-C stop$/);
  });

  it('names hidden services that are not ready by their state', () => {
    const services = [
      ...many(20),
      DEAD,
      service('db', { state: 'failed' }),
      service('slow', { state: 'unhealthy', problems: ['GET /health returned 500'] }),
    ];
    expect(render(view(services), screen(120, 12)).join('\n')).toMatch(
      /and \d+ more \(↑↓\): target down: api; failed: db; unhealthy: slow$/m,
    );
  });

  it('counts no hidden services while all are shown', () => {
    for (const rows of [10, 8, 6]) {
      const lines = render(view([DEAD]), screen(50, rows)).join('\n');
      expect(lines).not.toContain('more');
      expect(lines).toContain('target down');
    }
  });

  it('shows the part of the help that is scrolled to, from its top on', () => {
    const shown = (scroll: number) => render(view([]), screen(50, 10, { overlay, scroll }));
    expect(shown(0)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7].map((number) => `line ${number}`),
      '  ↑↓  lines 1–7 of 20',
      expect.stringContaining('Ctrl-C stop'),
    ]);
    const most = maxScroll(view([]), screen(50, 10, { overlay }));
    expect(shown(most).slice(6, 8)).toEqual(['line 20', '  ↑↓  lines 14–20 of 20']);
    expect(shown(most + 5)).toEqual(shown(most));
    expect(maxScroll(view([]), screen(50, 30, { overlay }))).toBe(0);
    expect(render(view([]), screen(50, 30, { overlay }))).toHaveLength(22);
  });

  it('cuts no heading at 40 columns', () => {
    const lost = service('a-long-service-name', { state: 'target down' });
    for (const columns of [50, 40])
      expect(
        render(view([lost]), screen(columns, 24))
          .slice(0, 3)
          .join('\n'),
      ).not.toContain('…');
  });

  it('says that the next Ctrl-C stops at once while the agent stops', () => {
    const stopping = service('web', { state: 'stopping' });
    expect(render(view([stopping]), screen(80, 24)).at(-1)).toMatch(/Ctrl-C stop at once$/);
    expect(render(view([stopping, service('api')]), screen(80, 24)).at(-1)).toMatch(/Ctrl-C stop$/);
  });

  it('breaks the result of a key between words', () => {
    const message = 'printed it above, and asked the terminal to copy it';
    expect(render(view([]), screen(40, 24, { message })).slice(-2)).toEqual([
      '  printed it above, and asked the',
      '  terminal to copy it',
    ]);
  });

  it('has no escape sequences without colours, and the same text with them', () => {
    const plain = render(view([service('web'), DEAD]), screen(100, 24));
    const painted = render(view([service('web'), DEAD]), screen(100, 24, { style: createStyle(true) }));
    expect(plain.map(stripVTControlCharacters)).toEqual(plain);
    expect(painted.map(stripVTControlCharacters)).toEqual(plain);
    expect(painted).not.toEqual(plain);
  });

  it('shows the result of a key', () => {
    const lines = render(view(many(3)), screen(80, 24, { overlay: () => ['code'], message: 'copied' }));
    expect(lines).toEqual(['code', '', '  copied']);
  });
});
