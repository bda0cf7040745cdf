import { clientOf } from '../../net/client-address.js';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { PortalError } from '../../lib/errors.js';
import type { Work } from '../../protocol/work.js';
import type { ControlBegins } from '../public-port/http-surface.js';
import { Session, type SessionContext } from '../sessions/session.js';
import { Sessions, type Rejection } from '../sessions/sessions.js';
import type { Access } from './access.js';
import type { Settings } from './settings.js';

/** Agents reconnect at a random time within this after the shutdown, */
const RECONNECT_WITHIN_MS = 1_000;
/** or within this for each agent, if that is longer. */
const RECONNECT_MS_EACH = 2;

const unavailable = (code: Rejection['code'], message: string): Rejection => ({
  status: '503 Service Unavailable',
  retryAfterSeconds: 1,
  code,
  message,
});
const RELAY_STOPS = 'the relay is stopping';
const NODE_STOPS = 'this node of the relay is stopping';
const STARTING = unavailable('relay_busy', 'the relay is starting');
const STOPPING = unavailable('shutting_down', RELAY_STOPS);
/** The next connection may arrive at another node. */
const DRAINING: Rejection = { ...unavailable('shutting_down', NODE_STOPS), retryAfterSeconds: 0 };

/** The control channels of agents. */
export class Control {
  readonly sessions: Sessions;
  #context: SessionContext | undefined;
  #onEnd: ((session: Session) => void) | undefined;
  #rejection: Rejection | undefined = STARTING;

  constructor({ limits }: Settings, { quotas }: Access) {
    this.sessions = new Sessions(limits, quotas);
  }

  /** Accepts sessions from now on. Calls `onEnd` when one ended. */
  start(context: SessionContext, onEnd: (session: Session) => void): void {
    this.#context = context;
    this.#onEnd = onEnd;
    this.#rejection = undefined;
  }

  /** Accepts no more sessions. */
  stop(): void {
    this.#rejection = STOPPING;
  }

  /** Why this socket cannot open a control channel now; undefined if it can. */
  reject(socket: Duplex): Rejection | undefined {
    return this.#rejection ?? this.sessions.reject(socket, clientOf(socket as TLSSocket).address);
  }

  /** The proof of work that the client of a control channel must do first. */
  demandWork(socket: TLSSocket): Work | undefined {
    return this.sessions.demandWork(clientOf(socket).address);
  }

  /** Takes an accepted control channel. */
  begin(ws: WebSocket, socket: TLSSocket, { work, greeted }: ControlBegins): void {
    const session = new Session(ws, socket, this.#context!, {
      work,
      onHello: () => {
        if (this.#rejection) throw new PortalError(this.#rejection.code, this.#rejection.message);
        this.sessions.enter(session);
        greeted();
      },
      onOpen: () => this.sessions.proven(session),
    });
    ws.once('close', () => {
      this.sessions.forget(session);
      this.#onEnd?.(session);
    });
  }

  /** Tells every agent to move to another node, not all at once. Returns within which time they begin. */
  drain(): number {
    this.#rejection = DRAINING;
    const withinMs = this.#spreadMs;
    for (const session of this.sessions) session.drain(NODE_STOPS, Math.ceil(Math.random() * withinMs));
    return withinMs;
  }

  /** Whether agents that were told to move have not done so yet. */
  get draining(): boolean {
    return [...this.sessions].some((session) => session.draining);
  }

  /** Tells every agent to reconnect, not all at once. */
  announceShutdown(): void {
    const withinMs = this.#spreadMs;
    for (const session of this.sessions)
      session.announceShutdown(RELAY_STOPS, Math.ceil(Math.random() * withinMs));
  }

  get #spreadMs(): number {
    return Math.max(RECONNECT_WITHIN_MS, this.sessions.size * RECONNECT_MS_EACH);
  }

  close(): void {
    for (const session of this.sessions) session.terminate();
  }
}
