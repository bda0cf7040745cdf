import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Turn {
  /** The one whose answer is under way. */
  busy: boolean;
  readonly waiting: (() => ServerResponse)[];
}

/**
 * HTTP/1.1 lets visitors send requests one behind another without waiting for answers. Node hands over all that have
 * come; but their order may matter (RFC 9112, section 9.3.2), and one connection is not to ask for everything at once.
 */
export class Turns {
  readonly #max: number;
  readonly #turns = new WeakMap<Socket, Turn>();

  /** @param max that may wait on one connection; with more it is closed */
  constructor(max: number) {
    this.#max = max;
  }

  /** Calls `begin` once the answers to all earlier requests are complete; never, if the connection ends first. */
  take(socket: Socket, begin: () => ServerResponse): void {
    let turn = this.#turns.get(socket);
    if (!turn) this.#turns.set(socket, (turn = { busy: false, waiting: [] }));
    if (!turn.busy) this.#run(socket, turn, begin);
    else if (turn.waiting.length < this.#max) turn.waiting.push(begin);
    else socket.destroy();
  }

  #run(socket: Socket, turn: Turn, begin: () => ServerResponse): void {
    turn.busy = true;
    const response = begin();
    response.once('close', () => {
      turn.busy = false;
      const next = turn.waiting.shift();
      if (next && response.shouldKeepAlive && !socket.destroyed) this.#run(socket, turn, next);
    });
  }
}
