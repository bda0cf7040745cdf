import type { WebSocket } from 'ws';
import { intervalAfterInput, LastHeard } from '../../lib/stalls.js';
import { deadline } from '../../lib/wait.js';
import { silenceMs } from '../../protocol/limits.js';

/** Owns what a relay knows about whether an agent still responds on its control channel. */
export class Liveness {
  readonly #ws: WebSocket;
  readonly #lastHeard = new LastHeard();
  readonly #pongWaiters = new Set<() => void>();
  /** Time of the last data when a ping got no response. */
  #unresponsiveAt: number | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on('pong', () => {
      this.heard();
      for (const waiter of this.#pongWaiters) waiter();
    });
    ws.on('ping', () => this.heard());
  }

  /** Milliseconds since the last data from the agent. */
  get silentMs(): number {
    return performance.now() - this.#lastHeard.at;
  }

  heard(): void {
    this.#lastHeard.now();
  }

  /** Pings every `heartbeatMs`, and calls `onSilent` when the agent is silent for too long. */
  start(heartbeatMs: number, onSilent: () => void): void {
    const beat = (): void => {
      if (this.#heartbeat === undefined) return;
      if (this.#lastHeard.silentMs > silenceMs(heartbeatMs)) onSilent();
      else this.#ws.ping();
    };
    this.#heartbeat = intervalAfterInput(beat, heartbeatMs);
  }

  /** Whether the agent responds to a ping within `ms`. */
  async responds(ms: number): Promise<boolean> {
    // An agent that did not respond and has sent nothing since is not pinged again for each lease.
    if (this.#unresponsiveAt === this.#lastHeard.at) return false;
    return new Promise((resolve) => {
      const settle = (isAlive: boolean): void => {
        inTime();
        this.#pongWaiters.delete(pong);
        if (!isAlive) this.#unresponsiveAt = this.#lastHeard.at;
        resolve(isAlive);
      };
      const pong = (): void => settle(true);
      const inTime = deadline(ms, () => settle(false));
      this.#pongWaiters.add(pong);
      // One ping for all: ws ends a connection that has many unanswered pings.
      if (this.#pongWaiters.size === 1) this.#ws.ping();
    });
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}
