import type { Socket } from 'node:net';
import { LIMITS } from '../../protocol/limits.js';

/** Keeps visitors that arrive before the first certificate, as long as the relay waits for the first response. */
export class EarlyVisitors {
  readonly #waiting = new Map<Socket, () => void>();

  /** Calls `serve` once there is a certificate, unless the visitor has left or waited too long. */
  keep(socket: Socket, serve: () => void): void {
    const stop = (): void => {
      clearTimeout(timer);
      socket.off('close', stop);
      this.#waiting.delete(socket);
    };
    const timer = setTimeout(() => socket.destroy(), LIMITS.firstResponseMs);
    socket.once('close', stop);
    this.#waiting.set(socket, () => {
      stop();
      serve();
    });
  }

  /** Serves all visitors: there is a certificate now. */
  serve(): void {
    for (const serve of this.#waiting.values()) serve();
  }

  /** Disconnects all visitors. */
  destroy(): void {
    for (const socket of this.#waiting.keys()) socket.destroy();
  }
}
