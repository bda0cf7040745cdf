import { expect, it } from 'vitest';
import type { FromRelay } from '../../protocol/messages.js';
import { HeldVisits } from './held-visits.js';

const visit = (lease: string): FromRelay<'visit'> => ({
  type: 'visit',
  connection: `of ${lease}`,
  lease,
  remote: { address: '192.0.2.1', port: 1 },
});
const dial: FromRelay<'dial'> = { type: 'dial', carrier: 'raw', tickets: [{ connection: 'c', ticket: 't' }] };

function held() {
  const sent: string[] = [];
  const visits = new HeldVisits((message) => sent.push(message.type === 'visit' ? message.lease : 'dial'));
  return { visits, sent };
}

it('holds a visit until the agent knows the lease, and nothing else', () => {
  const { visits, sent } = held();
  visits.opening();
  visits.answered('a');
  visits.opening();
  visits.opening();
  for (const message of [visit('b'), dial, visit('a'), visit('c')]) visits.send(message);
  expect(sent).toEqual(['dial', 'a']);
  visits.answered('b');
  expect(sent).toEqual(['dial', 'a', 'b']);
  visits.answered('c');
  expect(sent).toEqual(['dial', 'a', 'b', 'c']);
});

it('holds nothing for a lease that could not be opened, so that the agent rejects the visitor', () => {
  const { visits, sent } = held();
  visits.opening();
  visits.send(visit('a'));
  visits.answered();
  expect(sent).toEqual(['a']);
});

it('holds visits of a lease again that the agent opens again', () => {
  const { visits, sent } = held();
  visits.opening();
  visits.answered('a');
  visits.forget('a');
  visits.opening();
  visits.send(visit('a'));
  expect(sent).toEqual([]);
});
