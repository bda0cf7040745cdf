import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { cut } from './cut.js';

interface Turn {
  /** Whether a response is in progress. */
  busy: boolean;
  readonly waiting: (() => ServerResponse)[];
}

/**
 * HTTP/1.1 lets visitors pipeline requests. Node delivers all of them at once, but their order may matter (RFC 9112,
 * section 9.3.2), and one connection must not use all capacity.
 */
export class Pipeline {
  readonly #max: number;
  readonly #turns = new WeakMap<Socket, Turn>();

  /** @param max requests that may wait on one connection; beyond it the connection closes */
  constructor(max: number) {
    this.#max = max;
  }

  /** Calls `begin` once the responses to all earlier requests are complete, or never if the connection ends first. */
  take(socket: Socket, begin: () => ServerResponse): void {
    let turn = this.#turns.get(socket);
    if (!turn) this.#turns.set(socket, (turn = { busy: false, waiting: [] }));
    if (!turn.busy) this.#run(socket, turn, begin);
    else if (turn.waiting.length < this.#max) turn.waiting.push(begin);
    else cut(socket);
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
