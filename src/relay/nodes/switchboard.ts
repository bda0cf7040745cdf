import type { Channel } from '../../lib/calls.js';

/** A message of a node to another one. */
export interface ToNode {
  readonly to: string;
  readonly message: unknown;
}

export type FromMain =
  | { readonly from: string; readonly message: unknown }
  /** Nodes that run from now on. */
  | { readonly joined: readonly string[] }
  | { readonly left: string };

/** Forwards messages between the nodes of a relay, in its main process. Each node has one channel to it. */
export class Switchboard {
  readonly #channels = new Map<string, Channel>();

  /** Connects a node, whose name no other node has had. */
  connect(name: string, channel: Channel): void {
    tell(channel, { joined: [...this.#channels.keys()] });
    for (const other of this.#channels.values()) tell(other, { joined: [name] });
    this.#channels.set(name, channel);
    channel.onMessage((received) => {
      const { to, message } = received as ToNode;
      // Every node hears of a node that left, so a message to it needs no response.
      const other = this.#channels.get(to);
      if (other) tell(other, { from: name, message });
    });
    channel.onClose(() => {
      this.#channels.delete(name);
      for (const other of this.#channels.values()) tell(other, { left: name });
    });
  }
}

function tell(channel: Channel, message: FromMain): void {
  channel.send(message);
}
