import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { SpliceSet } from '../../net/splice/splice.js';
import { DATAGRAMS_SUBPROTOCOL, LIMITS } from '../../protocol/limits.js';
import { upgrades } from '../http/websockets.js';
import type { ForwardedDatagrams, Link, Links, TakeForwarded } from '../nodes/links.js';
import type { Nodes } from '../nodes/nodes.js';
import { issuersOf } from '../nodes/tags.js';
import { shownAs, type ShownTicket } from '../tickets/shown-ticket.js';

export interface ForwardedSocketsOptions {
  readonly nodes: Nodes;
  /** Default: nothing is forwarded. */
  readonly links: Links | undefined;
  /** What takes the WebSocket for a ticket of this node; undefined if the ticket is invalid. */
  readonly redeem: (shown: ShownTicket) => ((ws: WebSocket) => void) | undefined;
}

/**
 * The WebSocket for the datagrams of a session may arrive at any node. That node forwards the connection before the upgrade, so
 * that the WebSocket ends at the node with the session.
 */
export class ForwardedSockets {
  readonly #options: ForwardedSocketsOptions;
  readonly #server = upgrades(DATAGRAMS_SUBPROTOCOL, { maxPayload: LIMITS.maxFramesBytes });
  readonly #splices = new SpliceSet({
    // The agent probes the path all the time, and either end closes it.
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: Infinity,
    firstResponseMs: LIMITS.requestMs,
  });

  constructor(options: ForwardedSocketsOptions) {
    this.#options = options;
  }

  /** Call for a ticket that is not of this node. Resolves with what forwards the agent's connection; undefined if no node takes it. */
  async forward(datagrams: ForwardedDatagrams): Promise<((socket: Socket) => void) | undefined> {
    const { nodes, links } = this.#options;
    if (!links) return undefined;
    for (const node of issuersOf(nodes, datagrams.ticket.name)) {
      const link = await links.connect(node, { datagrams }).catch(() => undefined);
      if (link) return (socket) => this.#join(socket, link);
    }
    return undefined;
  }

  /** What takes the connection of an agent from another node; undefined if its ticket is invalid. */
  accept({ ticket, key }: ForwardedDatagrams): TakeForwarded | undefined {
    const take = this.#options.redeem(shownAs(ticket));
    return take && ((link) => this.#upgrade(link, key, take));
  }

  close(): void {
    this.#server.close();
    this.#splices.closeAll();
  }

  #join(socket: Socket, link: Link): void {
    if (socket.destroyed) link.destroy();
    else this.#splices.add(socket, link.start());
  }

  #upgrade(link: Socket, key: string, take: (ws: WebSocket) => void): void {
    // What the other node has read of the agent's request.
    const request: Pick<IncomingMessage, 'method' | 'headers'> = {
      method: 'GET',
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': key,
        'sec-websocket-protocol': DATAGRAMS_SUBPROTOCOL,
      },
    };
    this.#server.handleUpgrade(request as IncomingMessage, link, Buffer.alloc(0), (ws) => {
      take(ws);
      link.resume();
    });
  }
}
