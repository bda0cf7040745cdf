import type { Drops } from '../../protocol/datagrams/drops.js';
import type { Nodes } from '../nodes/nodes.js';
import { associationTagOf } from '../nodes/tags.js';

/** All nodes of a relay have one UDP port for agents, and a packet arrives at any of them. */

/** An agent's packet that arrived at another node, or the reply to an agent whose packets arrive there. */
export interface ForwardedPacket {
  readonly packet: Uint8Array;
  /** The agent's. */
  readonly address: string;
  readonly port: number;
  /** The socket that the agent's packets arrive at. */
  readonly socket: number;
}

/** What nodes forward to each other: packets of agents, and replies, which leave where the packets arrived. */
type Direction = 'packets' | 'replies';

export interface PacketForwardingOptions {
  readonly node: string;
  readonly nodes: Nodes;
  /** Whether all nodes have the same sockets, in the same order. Then each node sends its replies itself. */
  readonly sharesPorts: boolean;
  readonly drops: Drops;
}

/** Packets that wait for another node. Beyond them, packets are dropped. */
const MAX_WAITING = 1_024;

/** Forwards packets to the node that has their association, and its replies to the node where they arrived. */
export class PacketForwarding {
  readonly #options: PacketForwardingOptions;
  /** By node. A node gets the next ones when it has taken the previous ones. */
  readonly #waiting = {
    packets: new Map<string, ForwardedPacket[]>(),
    replies: new Map<string, ForwardedPacket[]>(),
  };

  constructor(options: PacketForwardingOptions) {
    this.#options = options;
  }

  /** Calls `take` with the packets that arrived at the node `from`, and `send` with the replies that leave here. */
  serve(take: (packet: ForwardedPacket, from: string) => void, send: (reply: ForwardedPacket) => void): void {
    this.#options.nodes.serve({
      packets: (from: string, packets: readonly ForwardedPacket[]) => {
        for (const packet of packets) take(packet, from);
      },
      replies: (_from: string, replies: readonly ForwardedPacket[]) => {
        for (const reply of replies) send(reply);
      },
    });
  }

  /** Whether this node counts what its sockets lost. */
  get countsOverruns(): boolean {
    const { node, nodes, sharesPorts } = this.#options;
    return !sharesPorts || [...nodes.others].every((other) => node < other);
  }

  /** Marks a new association as one of this node. */
  mark(association: Buffer): void {
    associationTagOf(this.#options.node).copy(association);
  }

  /** False if no other node can have the association. */
  forward(association: string, packet: ForwardedPacket): boolean {
    const owners = [...this.#options.nodes.others].filter((node) =>
      association.startsWith(associationTagOf(node).toString('latin1')),
    );
    for (const node of owners) this.#add('packets', node, packet);
    return owners.length > 0;
  }

  /** The node through which replies leave, if packets arrived at the node `from`; undefined: this node. */
  exitOf(from: string): string | undefined {
    return this.#options.sharesPorts ? undefined : from;
  }

  /** Sends a reply through another node. False if it is dropped. */
  reply(node: string, packet: ForwardedPacket): boolean {
    return this.#add('replies', node, packet);
  }

  #add(direction: Direction, node: string, packet: ForwardedPacket): boolean {
    const waiting = this.#waiting[direction].get(node);
    if (!waiting) {
      this.#waiting[direction].set(node, [packet]);
      void this.#send(direction, node);
    } else if (waiting.length < MAX_WAITING) waiting.push(packet);
    else {
      this.#options.drops.add('busy');
      return false;
    }
    return true;
  }

  async #send(direction: Direction, node: string): Promise<void> {
    const lines = this.#waiting[direction];
    for (;;) {
      const packets = lines.get(node) ?? [];
      if (packets.length === 0) break;
      lines.set(node, []);
      // A node that ends takes its associations with it.
      await this.#options.nodes.call(node, direction, packets).catch(() => undefined);
    }
    lines.delete(node);
  }
}
