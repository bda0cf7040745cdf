import { clientOf } from '../../net/client-address.js';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { PortalError } from '../../lib/errors.js';
import type { Work } from '../../protocol/work.js';
import type { ControlBegins } from '../http.js';
import { Session, type SessionContext } from '../session.js';
import { Sessions, type Rejection } from '../sessions.js';
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
const STARTING = unavailable('relay_busy', 'the relay is starting');
const STOPPING = unavailable('shutting_down', 'the relay is stopping');

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

  /** Tells every agent to reconnect, not all at once. */
  announceShutdown(): void {
    const withinMs = Math.max(RECONNECT_WITHIN_MS, this.sessions.size * RECONNECT_MS_EACH);
    for (const session of this.sessions)
      session.announceShutdown('the relay is stopping', Math.ceil(Math.random() * withinMs));
  }

  close(): void {
    for (const session of this.sessions) session.terminate();
  }
}
