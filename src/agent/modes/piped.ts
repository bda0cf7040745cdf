import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import { until } from '../../lib/wait.js';
import type { Logger } from '../../lib/logger.js';
import type { Conversation } from '../../net/conversation/conversation.js';
import { resetSocket } from '../../net/splice/reset.js';
import { SpliceSet, type Drain } from '../../net/splice/splice.js';
import { proxyHeader } from '../../net/proxy-protocol/header.js';
import type { Target } from '../../net/target/target.js';
import { LIMITS } from '../../protocol/limits.js';
import { retirementOf, type ServiceSpec } from '../spec.js';
import { alpnOf, connectTarget } from '../target/upstream.js';
import { retiringIn, type ModeHandler, type Traffic, type VisitorInfo } from './mode.js';

export interface PipedHooks {
  /** Ends a visitor whose service is down, with an error in the visitor's protocol. */
  readonly reject: (visitor: Socket, service: string, error: PortalError) => void;
  /** The service accepted the visitor's connection. */
  readonly onReached: (target: Target) => void;
  readonly onDown: (target: Target, error: PortalError) => void;
  /**
   * Whether the visitor's bytes may go to the service, which has accepted its connection `upstream`. Reads nothing from either. With
   * false, something else serves the visitor.
   */
  readonly admits?: (visitor: Socket, upstream: Socket, info: VisitorInfo) => Promise<boolean>;
  /** Follows a visitor's exchanges, if its protocol is known. */
  readonly follow?: (visitor: Socket) => Conversation | undefined;
}

/** Timeout until the service accepts a visitor. */
const REACHED_MS = 2_000;

/** The common part of modes stream and tcp: forwards a visitor's bytes to its own connection to the target, and back. */
export class PipedHandler implements ModeHandler {
  #spec: ServiceSpec;
  readonly #log: Logger;
  readonly #hooks: PipedHooks;
  readonly #splices = new SpliceSet({
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: LIMITS.visitorLifetimeMs,
    firstResponseMs: 0,
  });
  /** Visitors whose connection to the service is opening, or that are being rejected because it is down. */
  readonly #waiting = new Set<Socket>();
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(spec: ServiceSpec, log: Logger, hooks: PipedHooks) {
    this.#spec = spec;
    this.#log = log;
    this.#hooks = hooks;
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    void this.#serve(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    const { ms } = retirementOf(spec);
    if (isSameUpstream(before, spec)) this.#splices.retireMs = ms;
    else this.#splices.retire(ms);
  }

  async drain(drain: Drain): Promise<void> {
    await until(() => this.#waiting.size === 0, Math.min(drain.ms, REACHED_MS));
    await this.#splices.drain(drain);
    for (const socket of this.#waiting) resetSocket(socket);
  }

  traffic(): Traffic {
    const open = this.#splices.openBytes;
    return {
      visitors: this.#splices.size + this.#waiting.size,
      ...retiringIn(this.#splices.retiring),
      bytesIn: this.#bytesIn + open.toB,
      bytesOut: this.#bytesOut + open.toA,
    };
  }

  async #serve(visitor: Socket, info: VisitorInfo): Promise<void> {
    const spec = this.#spec;
    const { service, target, targetTls, proxyProtocol } = spec;
    this.#waiting.add(visitor);
    visitor.once('close', () => this.#waiting.delete(visitor));
    try {
      const upstream = await connectTarget(target, {
        tls: targetTls,
        alpn: offerTo(visitor),
        ...(proxyProtocol && { preamble: headerFor(visitor, info) }),
      });
      this.#hooks.onReached(target);
      if (this.#hooks.admits && !(await this.#hooks.admits(visitor, upstream, info))) {
        this.#waiting.delete(visitor);
        return void upstream.destroy();
      }
      // The visitor has exchanged nothing with the former target yet.
      if (!isSameUpstream(spec, this.#spec)) {
        upstream.destroy();
        return await this.#serve(visitor, info);
      }
      this.#waiting.delete(visitor);
      if (visitor.destroyed) return void upstream.destroy();
      this.#splices.add(visitor, upstream, {
        conversation: this.#hooks.follow?.(visitor),
        onEnd: ({ bytesToB, bytesToA }) => {
          this.#bytesIn += bytesToB;
          this.#bytesOut += bytesToA;
        },
      });
    } catch (error) {
      if (!isSameUpstream(spec, this.#spec)) return this.#serve(visitor, info);
      const failure = asPortalError(error);
      this.#log.warn({ service, reason: failure.message }, 'the local service does not accept connections');
      this.#hooks.onDown(target, failure);
      this.#hooks.reject(visitor, service, failure);
    }
  }
}

/** Whether visitors of both reach the same target with the same settings. */
function isSameUpstream(a: ServiceSpec, b: ServiceSpec): boolean {
  return (
    isDeepStrictEqual(a.target, b.target) &&
    isDeepStrictEqual(a.targetTls, b.targetTls) &&
    a.proxyProtocol === b.proxyProtocol
  );
}

function headerFor(visitor: Socket, { remote, local }: VisitorInfo): Buffer {
  if (!(visitor instanceof TLSSocket)) return proxyHeader({ remote, local });
  const { servername } = visitor as { servername?: string | false };
  const alpn = alpnOf(visitor);
  const tls = {
    version: visitor.getProtocol() ?? '',
    cipher: visitor.getCipher()?.standardName ?? '',
    ...(servername && { serverName: servername }),
    ...(alpn !== undefined && { alpn }),
  };
  return proxyHeader({ remote, local, tls });
}

/** The ALPN offer to a target that speaks TLS: the protocol that the visitor speaks. HTTP/1.0 has no registered id. */
function offerTo(visitor: Socket): readonly string[] {
  const agreed = alpnOf(visitor);
  return agreed === undefined || agreed === 'http/1.0' ? [] : [agreed];
}
