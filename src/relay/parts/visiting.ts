import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WireCarrier } from '../../protocol/messages.js';
import { Datagrams } from '../datagrams/datagrams.js';
import type { ListenHost } from '../listen.js';
import type { ShownTicket } from '../shown-ticket.js';
import { Tallies } from '../tallies.js';
import { TicketBook } from '../tickets.js';
import { VisitorGate } from '../visitors.js';
import type { Access } from './access.js';
import type { Settings } from './settings.js';

/** How visitors reach agents: their queue, data connections and datagrams. */
export class Visiting {
  readonly tallies: Tallies;
  readonly gate: VisitorGate;
  readonly tickets: TicketBook;
  readonly datagrams: Datagrams;
  readonly #access: Access;

  constructor({ options, limits, log }: Settings, access: Access) {
    this.#access = access;
    this.tallies = new Tallies(options.onVisitorWaited);
    const { quotas, descriptors } = access;
    this.gate = new VisitorGate(limits, { quotas, descriptors, tallies: this.tallies });
    this.tickets = new TicketBook(limits.ticketMs);
    this.datagrams = new Datagrams(limits, log, (address) => access.denied.admits(address));
  }

  /** Opens the UDP port for agents. `orAny`: or another port if that one is in use. */
  start(hosts: readonly ListenHost[], port: number, orAny: boolean): Promise<void> {
    return this.datagrams.listen(hosts, port, orAny);
  }

  /** Whether a file descriptor is free for a data connection or a carrier of datagrams. */
  readonly hasDescriptors = (socket: Duplex): boolean => this.#access.descriptors.admitsData(socket);

  /** Stops counting a connection with a valid ticket for its address. */
  readonly onTrusted = (socket: Duplex): void => this.#access.quotas.trusted(socket);

  /** What takes the socket of a client whose ticket is valid for the carrier; undefined if it is invalid. */
  readonly onData = (shown: ShownTicket, carrier: WireCarrier): ((socket: Socket) => void) | undefined => {
    const ticket = this.tickets.redeem(shown, carrier);
    return ticket && ((socket) => ticket.pool.accept(ticket.connection, carrier, socket));
  };

  /** Closes the UDP port for agents. */
  stopListening(): void {
    this.datagrams.close();
  }

  close(): void {
    this.tickets.close();
  }
}
