import { describe, expect, it } from 'vitest';
import { isProven, nameOf, newTicket, readShown, showTicket } from './ticket.js';

const CHANNEL = 'ab'.repeat(32);

describe('a ticket', () => {
  it('is proven on its channel, and on no other', () => {
    const ticket = newTicket();
    const { name, proof } = readShown(showTicket(ticket, CHANNEL))!;
    expect(name).toBe(nameOf(ticket));
    expect(isProven(ticket, proof, CHANNEL)).toBe(true);
    for (const other of ['cd'.repeat(32), '', undefined]) expect(isProven(ticket, proof, other)).toBe(false);
  });

  it('differs from every other ticket in name and secret', () => {
    const tickets = Array.from({ length: 200 }, newTicket);
    expect(new Set(tickets.map(nameOf)).size).toBe(200);
    expect(new Set(tickets.map((ticket) => ticket.slice(nameOf(ticket).length))).size).toBe(200);
    for (const ticket of tickets) expect(ticket).toMatch(/^[\w-]{48}$/);
  });

  it('is not proven by its name alone, nor by another ticket', () => {
    const [ticket, other] = [newTicket(), newTicket()];
    const { proof } = readShown(showTicket(nameOf(ticket) + other.slice(16), CHANNEL))!;
    expect(isProven(ticket, proof, CHANNEL)).toBe(false);
    expect(isProven(ticket, '', CHANNEL)).toBe(false);
  });

  it('does not reveal its secret on a channel, and the secret proves nothing there', () => {
    const ticket = newTicket();
    expect(showTicket(ticket, CHANNEL)).not.toContain(ticket.slice(16, 28));
    const { proof } = readShown(showTicket(ticket, undefined))!;
    expect(isProven(ticket, proof, undefined)).toBe(true);
    expect(isProven(ticket, proof, CHANNEL)).toBe(false);
  });

  it.each([
    undefined,
    '',
    `Bearer ${'a'.repeat(48)}`,
    `Portal-Ticket ${'a'.repeat(48)}`,
    `Portal-Ticket ${'a'.repeat(16)}.${'b'.repeat(42)}`,
    `Portal-Ticket ${'a'.repeat(16)}.${'b'.repeat(44)}`,
    `Portal-Ticket ${'a'.repeat(15)}.${'b'.repeat(43)}`,
    `Portal-Ticket ${'a'.repeat(16)}.${'b'.repeat(42)}=`,
    ` Portal-Ticket ${'a'.repeat(16)}.${'b'.repeat(43)}`,
  ])('is not read from %j', (header) => {
    expect(readShown(header)).toBeUndefined();
  });
});
