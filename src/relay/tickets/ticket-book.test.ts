import { expect, it, onTestFinished, vi } from 'vitest';
import { nameOf, secretOf } from '../../protocol/ticket.js';
import { shownAs, type ShownTicket } from './shown-ticket.js';
import { TicketBook } from './ticket-book.js';

const TICKET_MS = 1_000;

function book() {
  vi.useFakeTimers();
  const expired: string[] = [];
  const tickets = new TicketBook<string>({
    ticketMs: TICKET_MS,
    tag: 'n1',
    onExpired: (of, text) => void expired.push(`${of} ${text}`),
  });
  onTestFinished(() => {
    tickets.close();
    vi.useRealTimers();
  });
  return { tickets, expired };
}

const shown = (ticket: string, proof = secretOf(ticket)): ShownTicket =>
  shownAs({ name: nameOf(ticket), proof, channel: 'none' });

it('accepts a proven ticket once', () => {
  const { tickets } = book();
  const text = tickets.issue('a');
  expect(text.startsWith('n1')).toBe(true);
  expect(tickets.use(shown(text))).toMatchObject({ of: 'a', text });
  expect(tickets.use(shown(text))).toBeUndefined();
});

it.each([
  ['unproven', (text: string) => shown(text, 'x'.repeat(32)), undefined],
  ['for something else', (text: string) => shown(text), (of: string) => of === 'b'],
])('rejects a ticket that is %s, and it stays valid', (_, show, suits) => {
  const { tickets } = book();
  const text = tickets.issue('a');
  expect(tickets.use(show(text), suits)).toBeUndefined();
  expect(tickets.use(shown(text))).toMatchObject({ of: 'a' });
});

it('rejects an expired ticket, and reports that it expired', () => {
  const { tickets, expired } = book();
  const first = tickets.issue('a');
  vi.advanceTimersByTime(TICKET_MS / 2);
  const second = tickets.issue('b');
  vi.advanceTimersByTime(TICKET_MS / 2);
  expect(tickets.use(shown(first))).toBeUndefined();
  expect(expired).toEqual([`a ${first}`]);
  expect(tickets.has(nameOf(second))).toBe(true);
});

it('revokes tickets', () => {
  const { tickets, expired } = book();
  const [a, b, c] = ['a', 'b', 'c'].map((of) => tickets.issue(of)) as [string, string, string];
  tickets.revoke(a);
  tickets.revokeAll((of) => of === 'b');
  expect([a, b, c].map((text) => tickets.has(nameOf(text)))).toEqual([false, false, true]);
  vi.advanceTimersByTime(2 * TICKET_MS);
  expect(expired).toEqual([`c ${c}`]);
  expect(tickets.size).toBe(0);
});
