import { UpstreamError, dialWithCallback, type Dial } from './dial.js';
import { H1Connection, type Asker } from './h1-connection.js';
import type { HttpLimits } from '../limits.js';

/** Longest interval between two checks of all timeouts. */
const MAX_CHECK_MS = 500;

/** The kept-alive HTTP/1.1 connections to one target. There are never more of them than concurrent requests. */
export class H1Connections {
  readonly limits: HttpLimits;
  readonly #dial: Dial;
  readonly #open = new Set<H1Connection>();
  /** The last one was used last. */
  #idle: H1Connection[] = [];
  /** Requests for which a connection is being opened. */
  #waiting: Asker[] = [];
  #dialling = 0;
  #isDestroyed = false;
  #checks: NodeJS.Timeout | undefined;
  now = performance.now();

  constructor(dial: Dial, limits: HttpLimits) {
    this.#dial = dial;
    this.limits = limits;
  }

  send(asker: Asker): void {
    const connection = this.#idle.pop();
    if (connection) return connection.send(asker);
    this.#waiting = this.#waiting.filter(({ isOver }) => !isOver);
    this.#waiting.push(asker);
    if (this.#dialling < this.#waiting.length) this.#connect();
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const connection of this.#open) connection.destroy();
  }

  onIdle(connection: H1Connection): void {
    const next = this.#nextWaiting();
    if (next) connection.send(next);
    else this.#idle.push(connection);
  }

  onClosed(connection: H1Connection): void {
    this.#open.delete(connection);
    this.#idle = this.#idle.filter((other) => other !== connection);
    if (this.#open.size > 0) return;
    clearInterval(this.#checks);
    this.#checks = undefined;
  }

  #connect(): void {
    this.#dialling++;
    dialWithCallback(this.#dial, (error, socket) => {
      this.#dialling--;
      if (error) return this.#nextWaiting()?.onFailed(error);
      if (this.#isDestroyed) {
        socket.destroy();
        return this.#nextWaiting()?.onFailed(new UpstreamError('the target is no longer in use'));
      }
      if (!this.#checks) this.#startChecks();
      const connection = new H1Connection(socket, this);
      this.#open.add(connection);
      this.onIdle(connection);
    });
  }

  #nextWaiting(): Asker | undefined {
    for (let next; (next = this.#waiting.shift());) if (!next.isOver) return next;
    return undefined;
  }

  #startChecks(): void {
    const { responseMs, stalledMs, keepAliveMs } = this.limits;
    this.now = performance.now();
    const check = (): void => {
      this.now = performance.now();
      for (const connection of this.#open) connection.checkTime();
    };
    this.#checks = setInterval(check, Math.min(MAX_CHECK_MS, responseMs / 4, stalledMs / 4, keepAliveMs / 4));
    this.#checks.unref();
  }
}
