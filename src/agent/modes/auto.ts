import type { Socket } from 'node:net';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { until } from '../../lib/wait.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { Drain } from '../../net/splice/splice.js';
import type { Decision } from '../target/decision.js';
import { firstLine, type FirstLineTimeouts } from '../pages/first-line.js';
import { LIMITS } from '../../protocol/limits.js';
import { retirementOf, type ServiceSpec } from '../spec.js';
import { alpnOf, isConnect } from '../target/upstream.js';
import {
  NO_TRAFFIC,
  retiringIn,
  sumTraffic,
  type ModeHandler,
  type Traffic,
  type VisitorInfo,
} from './mode.js';
import type { PipedHooks } from './piped.js';

/** If the target takes longer to show its protocol, the visitor's protocol decides. */
const FIRST_LINE_TIMEOUTS: FirstLineTimeouts = { silenceMs: 250, lineMs: 5_000 };
/** For a visitor whose request must be read, if it sends one. Then it is disconnected. */
const PATIENT_TIMEOUTS: FirstLineTimeouts = { ...FIRST_LINE_TIMEOUTS, silenceMs: LIMITS.visitorIdleMs };
/** Timeout until a visitor gets a handler while its protocol is detected. */
const DETECT_MS = 2_000;

export interface AutoHandlers {
  /** `admits`: whether the target may get a visitor's bytes. */
  readonly makeStream: (admits: PipedHooks['admits']) => ModeHandler;
  /** Created on demand, because its HTTP client is large. */
  readonly makeHttp: (spec: ServiceSpec) => Promise<ModeHandler>;
}

interface Http {
  readonly ready: Promise<ModeHandler>;
  made: ModeHandler | undefined;
}

/**
 * Mode `auto`: visitors of a target that speaks HTTP are served as in mode http, others as in mode stream. Until the target
 * has shown its protocol, the visitor decides, by its negotiated ALPN or its first line.
 */
export class AutoHandler implements ModeHandler {
  #spec: ServiceSpec;
  readonly #decision: Decision;
  readonly #handlers: AutoHandlers;
  readonly #stream: ModeHandler;
  readonly #log: Logger;
  #http: Http | undefined;
  /** Visitors without a known protocol, or without a handler yet. */
  readonly #waiting = new Set<Socket>();
  /** Handlers of requests to a target that spoke HTTP before. */
  readonly #former = new Set<ModeHandler>();
  #past: Traffic = NO_TRAFFIC;
  readonly #unfollow: () => void;
  #drain: Drain | undefined;

  constructor(spec: ServiceSpec, decision: Decision, handlers: AutoHandlers, log: Logger) {
    this.#spec = spec;
    this.#decision = decision;
    this.#handlers = handlers;
    this.#stream = handlers.makeStream((...args) => this.#admits(...args));
    this.#log = log;
    this.#unfollow = decision.onChange(() => this.#decided());
    this.#decided();
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    const { now, isKnownStream } = this.#decision;
    if (now === 'http' && this.#http?.made) return this.#http.made.visit(socket, visitor);
    if (isKnownStream && alpnOf(socket) === undefined) return this.#stream.visit(socket, visitor);
    void this.#detect(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#stream.update(spec);
    this.#http?.made?.update(spec);
    this.#decided();
  }

  async drain(drain: Drain): Promise<void> {
    this.#drain = drain;
    this.#unfollow();
    await until(() => this.#waiting.size === 0, Math.min(drain.ms, DETECT_MS));
    await Promise.all(this.#all.map((handler) => handler.drain(drain)));
    for (const socket of this.#waiting) resetSocket(socket);
  }

  traffic(): Traffic {
    const sum = this.#all.reduce((each, handler) => sumTraffic(each, handler.traffic()), this.#past);
    const former = [...this.#former].reduce((each, handler) => each + handler.traffic().visitors, 0);
    return {
      ...sum,
      ...retiringIn(Math.max(sum.retiring ?? 0, former)),
      visitors: sum.visitors + this.#waiting.size,
    };
  }

  get #all(): ModeHandler[] {
    const { made } = this.#http ?? {};
    return [this.#stream, ...this.#former, ...(made ? [made] : [])];
  }

  /** Detects the visitor's protocol and passes it to the handler. Has a timeout. */
  async #detect(socket: Socket, visitor: VisitorInfo): Promise<void> {
    this.#waiting.add(socket);
    socket.once('close', () => this.#waiting.delete(socket));
    try {
      const isHttp = await this.#isForHttp(socket);
      if (isHttp) return await this.#serveHttp(socket, visitor);
      this.#waiting.delete(socket);
      if (!socket.destroyed) this.#stream.visit(socket, visitor);
    } catch (error) {
      this.#log.error({ err: asPortalError(error) }, 'failed to serve a visitor');
      resetSocket(socket);
    }
  }

  async #isForHttp(socket: Socket): Promise<boolean> {
    const decision = this.#decision;
    const isHttp = (): boolean => decision.now === 'http';
    if (isHttp()) return true;
    // The target may be another program by now, and its visitors notice first.
    if (decision.isKnownStream) await decision.recheck();
    if (decision.isKnownStream) return false;
    if (alpnOf(socket) !== undefined || isHttp()) return true;
    if ((await firstLine(socket, FIRST_LINE_TIMEOUTS)) === 'http') return true;
    // An app that trusts X-Forwarded-For may parse a request line that Portal does not recognize.
    await decision.settle();
    return isHttp();
  }

  /**
   * Whether a target that is served as stream may get the bytes of a visitor. A page of another site may send requests through the
   * local port of `portal connect`, on connections that the browser opened before, and to a target that was another program before.
   * So its first bytes are read, however late they are, unless the target speaks first, as no HTTP server does.
   */
  async #admits(visitor: Socket, upstream: Socket, info: VisitorInfo): Promise<boolean> {
    if (!isConnect(visitor)) return true;
    const spoken = new AbortController();
    const onSpoken = (): void => spoken.abort();
    upstream.on('error', () => undefined);
    upstream.on('readable', onSpoken).on('close', onSpoken);
    const line = await firstLine(visitor, PATIENT_TIMEOUTS, spoken.signal);
    upstream.off('readable', onSpoken).off('close', onSpoken);
    if (line === 'silent' && !spoken.signal.aborted) resetSocket(visitor);
    if (line !== 'http') return true;
    await this.#decision.recheck();
    void this.#serveHttp(visitor, info);
    return false;
  }

  async #serveHttp(socket: Socket, visitor: VisitorInfo): Promise<void> {
    this.#waiting.add(socket);
    try {
      const handler = await this.#httpHandler();
      this.#waiting.delete(socket);
      if (!socket.destroyed) handler.visit(socket, visitor);
    } catch (error) {
      this.#waiting.delete(socket);
      this.#log.error({ err: asPortalError(error) }, 'failed to serve a visitor');
      resetSocket(socket);
    }
  }

  #httpHandler(): Promise<ModeHandler> {
    if (!this.#http) {
      const http: Http = { made: undefined, ready: this.#make((made) => (http.made = made)) };
      this.#http = http;
    }
    return this.#http.ready;
  }

  async #make(isMade: (made: ModeHandler) => void): Promise<ModeHandler> {
    const spec = this.#spec;
    try {
      const made = await this.#handlers.makeHttp(spec);
      isMade(made);
      // The settings changed while the handler was created.
      if (spec !== this.#spec) made.update(this.#spec);
      if (this.#drain) void made.drain(this.#drain);
      return made;
    } catch (error) {
      this.#http = undefined;
      throw error;
    }
  }

  #decided(): void {
    const { now } = this.#decision;
    if (now === 'http') this.#httpHandler().catch(() => undefined);
    if (now === 'stream' && this.#http?.made) void this.#retire(this.#http.made);
  }

  /** Over its open connections, visitors' next requests would get a response in another protocol. */
  async #retire(http: ModeHandler): Promise<void> {
    this.#http = undefined;
    this.#former.add(http);
    await http.drain(retirementOf(this.#spec));
    this.#former.delete(http);
    this.#past = sumTraffic(this.#past, { ...http.traffic(), visitors: 0 });
  }
}
