import { expect, it } from 'vitest';
import type { PortalEvent } from '../../reconcile/events.js';
import { createStyle } from '../style.js';
import { Crowd } from './crowd.js';

const lost = (service: string, relay = 'https://a'): PortalEvent => ({
  event: 'lease',
  service,
  relay,
  phase: 'retrying',
  error: { code: 'relay_unreachable', message: 'connection lost' },
});

function crowd() {
  const lines: string[] = [];
  return { lines, crowd: new Crowd(createStyle(false), (line) => lines.push(line)) };
}

it('a relay that is lost is one line, however many services it had', () => {
  const { lines, crowd: told } = crowd();
  for (const service of ['a', 'b', 'c', 'd']) told.tell(lost(service));
  told.tell(lost('e', 'https://b'));
  told.flush();
  expect(lines).toEqual([
    'https://a: 4 services retrying: connection lost [relay_unreachable]',
    'e: retrying (https://b): connection lost [relay_unreachable]',
  ]);
});

it('lines stay in the order of events', async () => {
  const { lines, crowd: told } = crowd();
  told.tell(lost('a'));
  told.tell({ event: 'stopped', reason: 'down' });
  told.tell(lost('b'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines.map((line) => line.split(':')[0])).toEqual(['a', 'stopped', 'b']);
});
