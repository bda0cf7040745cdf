import { describe, expect, it } from 'vitest';
import type { Action } from '../../reconcile/plan.js';
import { createStyle } from '../text/style.js';
import { planLines, planMarkdown, summaryOf } from './describe.js';

const action = (kind: Action['kind'], service: string, over: Partial<Action> = {}): Action => ({
  kind,
  service,
  relay: 'https://r',
  address: `https://${service}.r`,
  targets: ['localhost:3000'],
  changes: [],
  exposes: kind === 'open' || kind === 'replace',
  ...over,
});
const ACTIONS = [
  action('open', 'web'),
  action('open', 'docs'),
  action('update', 'api', { changes: ['target'] }),
  action('update', 'admin', { changes: ['access'], exposes: true }),
  action('replace', 'db', { changes: ['name'] }),
  action('keep', 'same'),
];

it('marks held requests that lose their route', () => {
  const closing = action('close', 'hooks', { heldWithoutRoute: 3 });
  expect(planLines([closing], createStyle(false)).join('\n')).toContain('! 3 held requests lose their route');
  expect(planMarkdown([{ ...closing, heldWithoutRoute: 1 }]).join('\n')).toContain(
    '! 1 held request loses its route',
  );
});

describe('a plan', () => {
  it('has a line for each change, and marks only changes that open a service to more people', () => {
    expect(planLines(ACTIONS, createStyle(false))).toEqual([
      '+  web    open     https://web.r  -> localhost:3000',
      '+  docs   open     https://docs.r  -> localhost:3000',
      '~  api    update   https://api.r  -> localhost:3000  target',
      '~  admin  update   https://admin.r  -> localhost:3000  access',
      '                   ! opens to more people',
      '±  db     replace  https://db.r  -> localhost:3000  name',
    ]);
  });

  it('breaks no address, and stays within 80 columns unless an address is longer', () => {
    const address = `https://${'long'.repeat(14)}.example.com`;
    const lines = planLines(
      [
        action('open', 'web', { address, targets: ['unix:/run/web.sock', 'localhost:3001'] }),
        action('close', 'db', { relay: 'https://a,https://b', address: 'https://db.a' }),
      ],
      createStyle(false),
    );
    expect(lines).toEqual([
      `+  web  open   ${address}`,
      '               -> unix:/run/web.sock and 1 more',
      '-  db   close  https://db.a (chain https://a ← https://b)  -> localhost:3000',
    ]);
  });

  it('puts addresses on separate lines on a narrow terminal', () => {
    const actions = [
      action('open', 'web', { address: 'https://web.relay.example.com' }),
      action('close', 'database'),
    ];
    expect(planLines(actions, createStyle(false), 48)).toEqual([
      '+  web       open',
      '   https://web.relay.example.com',
      '   -> localhost:3000',
      '-  database  close',
      '   https://database.r  -> localhost:3000',
    ]);
  });

  it('has a summary of one line', () => {
    expect(summaryOf(ACTIONS)).toBe('2 to open, 2 to update in place, 1 to replace, 0 to close; 1 unchanged');
    expect(summaryOf([action('close', 'old')])).toBe('0 to open, 0 to update in place, 1 to close');
    expect(summaryOf([action('keep', 'same')])).toBe('nothing to change; 1 unchanged');
  });

  it('is a Markdown table with escaped names', () => {
    expect(planMarkdown([action('update', 'a|b`', { changes: ['access'], exposes: true })])).toEqual([
      '**Portal plan:** 0 to open, 1 to update in place, 0 to close',
      '',
      '| | service | action | address | target | changes |',
      '|---|---|---|---|---|---|',
      '| ~ | a\\|b\\` | update | https://a\\|b\\`.r | localhost:3000 | access ! opens to more people |',
    ]);
    expect(planMarkdown([action('keep', 'same')])).toEqual([
      '**Portal plan:** nothing to change; 1 unchanged',
    ]);
  });
});
