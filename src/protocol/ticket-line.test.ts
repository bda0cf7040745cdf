import { describe, expect, it } from 'vitest';
import { newTicket } from './ticket.js';
import { readTicketLine, ticketLine, TICKET_LINE_BYTES } from './ticket-line.js';

/** The example of docs/reference/protocol.md. */
const TICKET = 'Zm9ydHktZWlnaHQgY2hhcmFjdGVyc19hbmQtYmFzZTY0dXJs';
const LINE = Buffer.from(
  '025a6d397964486b745a576c6e614851672e59326868636d466a6447567963313968626d5174596d467a5a54593064584a730a',
  'hex',
);

const altered = (at: number, byte: number): Buffer => {
  const line = Buffer.from(LINE);
  line[at] = byte;
  return line;
};

describe('a ticket line', () => {
  it('is 0x02, the name, a dot, the secret and a line feed', () => {
    expect(Buffer.from(ticketLine(TICKET), 'latin1')).toEqual(LINE);
    expect(LINE).toHaveLength(TICKET_LINE_BYTES);
  });

  it('is read as the ticket that it presents', () => {
    expect(readTicketLine(LINE)).toEqual({
      kind: 'ticket',
      shown: { name: 'Zm9ydHktZWlnaHQg', proof: 'Y2hhcmFjdGVyc19hbmQtYmFzZTY0dXJs' },
    });
  });

  it('of any ticket is read again', () => {
    for (let round = 0; round < 100; round++) {
      const ticket = newTicket();
      expect(readTicketLine(Buffer.from(ticketLine(ticket), 'latin1'))).toEqual({
        kind: 'ticket',
        shown: { name: ticket.slice(0, 16), proof: ticket.slice(16) },
      });
    }
  });

  it('is undecided until its last byte', () => {
    for (let length = 1; length < LINE.length; length++)
      expect(readTicketLine(LINE.subarray(0, length))).toEqual({ kind: 'need', bytes: 51 });
  });

  it.each([
    ['bytes after it', Buffer.concat([LINE, Buffer.from([1])])],
    ['another first byte', altered(0, 0x03)],
    ['a space in the name', altered(1, 0x20)],
    ['a byte beyond ASCII in the name', altered(16, 0xe9)],
    ['no dot', altered(17, 0x2c)],
    ['a padding character in the secret', altered(49, 0x3d)],
    ['NUL in the secret', altered(18, 0)],
    ['a carriage return at its end', altered(50, 0x0d)],
    ['a line feed too early', altered(30, 0x0a)],
  ])('with %s is malformed', (_what, bytes) => {
    expect(readTicketLine(bytes)).toEqual({ kind: 'ticket', shown: undefined });
  });
});
