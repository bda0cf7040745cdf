import type { Drops } from '../../protocol/datagrams/drops.js';
import type { Nodes } from '../nodes/nodes.js';
import { associationTagOf } from '../nodes/tags.js';

/** All nodes of a relay have one UDP port for agents, and a packet arrives at any of them. */

/** An agent's packet that arrived at another node. */
export interface ForwardedPacket {
  readonly packet: Uint8Array;
  readonly address: string;
  readonly port: number;
  /** Which socket it arrived at. The nodes have the same ones, in the same order. */
  readonly socket: number;
}

/** Packets that wait for another node. Beyond them, packets are dropped. */
const MAX_WAITING = 1_024;

/** Forwards packets to the node that has their association. */
export class PacketForwarding {
  readonly #node: string;
  readonly #nodes: Nodes;
  readonly #drops: Drops;
  /** By node. A node gets the next ones when it has taken the previous ones. */
  readonly #waiting = new Map<string, ForwardedPacket[]>();

  constructor(node: string, nodes: Nodes, drops: Drops) {
    this.#node = node;
    this.#nodes = nodes;
    this.#drops = drops;
  }

  /** Calls `take` with the packets that arrive at other nodes. */
  serve(take: (packet: ForwardedPacket) => void): void {
    this.#nodes.serve({
      packets: (_from: string, packets: readonly ForwardedPacket[]) => {
        for (const packet of packets) take(packet);
      },
    });
  }

  /** Whether this node counts what all nodes see of their sockets. */
  get isFirst(): boolean {
    return [...this.#nodes.others].every((other) => this.#node < other);
  }

  /** Marks a new association as one of this node. */
  mark(association: Buffer): void {
    associationTagOf(this.#node).copy(association);
  }

  /** False if no other node can have the association. */
  forward(association: string, packet: ForwardedPacket): boolean {
    const owners = [...this.#nodes.others].filter((node) =>
      association.startsWith(associationTagOf(node).toString('latin1')),
    );
    for (const node of owners) this.#add(node, packet);
    return owners.length > 0;
  }

  #add(node: string, packet: ForwardedPacket): void {
    const waiting = this.#waiting.get(node);
    if (!waiting) {
      this.#waiting.set(node, [packet]);
      void this.#send(node);
    } else if (waiting.length < MAX_WAITING) waiting.push(packet);
    else this.#drops.add('busy');
  }

  async #send(node: string): Promise<void> {
    for (;;) {
      const packets = this.#waiting.get(node) ?? [];
      if (packets.length === 0) break;
      this.#waiting.set(node, []);
      // A node that ends takes its associations with it.
      await this.#nodes.call(node, 'packets', packets).catch(() => undefined);
    }
    this.#waiting.delete(node);
  }
}
