import { accessEntry } from '../access-log.js';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { resetSocket } from '../../net/splice/reset.js';
import pRetry from 'p-retry';
import type { Drain } from '../../net/splice/splice.js';
import type { Logger } from '../../lib/logger.js';
import type { AcmeChallenges } from '../../certificates/acme/challenges.js';
import { LiveCertificate } from '../../certificates/live.js';
import type { RenewalStatus, ServingCertificate } from '../../certificates/source.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { AutoHandler } from '../modes/auto.js';
import type { ModeHandler, Traffic, VisitorInfo } from '../modes/mode.js';
import type { PipedHooks } from '../modes/piped.js';
import { StreamHandler } from '../modes/stream.js';
import { TlsEndpoint } from '../modes/tls-endpoint.js';
import { probe } from '../proof/probe.js';
import { RETRY } from '../session/retry.js';
import { servedMode, type ServiceSpec } from '../spec.js';
import { requestReconnect, rejectVisitor } from '../pages/reject-visitor.js';
import { alpnOf, isConnect } from '../target/upstream.js';
import { EarlyVisitors } from './early-visitors.js';
import { ModeHandlers } from './mode-handlers.js';
import { AlpnOffer } from './offer.js';
import { isOfReplica, sharedTlsTickets, type SharedTlsTickets } from './shared-tls-tickets.js';
import type { ProveOptions, ServedAs, Serving, ServingOptions } from './serving.js';

/** Visits that must all meet a certificate of someone else before this counts as an interception, with replicas. */
const REPLICA_VISITS = 3;

/** Opens the serving side of a lease with a hostname, in mode stream or http. */
export async function openTlsServing(options: ServingOptions): Promise<Serving> {
  const { spec, log, targets, onReached } = options;
  const offer = new AlpnOffer(spec, log, targets, onReached);
  return new TlsServing(options, offer, await handlerFor(spec, log, offer, options));
}

type HandlerOptions = Pick<
  ServingOptions,
  'gates' | 'recorders' | 'accessLog' | 'held' | 'onNameRejected' | 'signal'
>;

async function handlerFor(
  spec: ServiceSpec,
  log: Logger,
  { protocols, decision }: AlpnOffer,
  { gates, recorders, accessLog, held, onNameRejected }: HandlerOptions,
): Promise<ModeHandler> {
  const stream = (admits?: PipedHooks['admits']): ModeHandler =>
    new StreamHandler(spec, log, {
      ...(admits && { admits }),
      onReached: (target) => protocols.reached(target),
      onDown: (target, error) => protocols.failed(target, error),
    });
  const mode = servedMode(spec);
  const onNotHttp = mode === 'auto' ? { onNotHttp: () => void decision.recheck() } : {};
  const http = async (of: ServiceSpec): Promise<ModeHandler> => {
    // Loaded on demand: many agents serve no HTTP.
    const { HttpHandler } = await import('../modes/http/handler.js');
    return new HttpHandler(
      of,
      log,
      protocols,
      gates,
      {},
      { recorders, accessLog, held, onNameRejected, ...onNotHttp },
    );
  };
  if (mode === 'http') return http(spec);
  if (mode === 'auto') return new AutoHandler(spec, decision, { makeStream: stream, makeHttp: http }, log);
  return stream();
}

/** One TLS endpoint with one certificate, in front of the mode's handler. */
class TlsServing implements Serving {
  readonly #hostname: string;
  readonly #log: Logger;
  readonly #offer: AlpnOffer;
  readonly #options: HandlerOptions;
  readonly #certificate: LiveCertificate;
  readonly #challenges: AcmeChallenges;
  /** Used while there are replicas. */
  readonly #tlsTickets: SharedTlsTickets;
  /** Set with the first certificate. A CA that issues it may need a response here first. */
  #endpoint: TlsEndpoint | undefined;
  readonly #early = new EarlyVisitors();
  readonly #handlers: ModeHandlers;
  /** The latest settings. */
  #spec: ServiceSpec;

  constructor(options: ServingOptions, offer: AlpnOffer, handler: ModeHandler) {
    const { spec, opened, certificates, log } = options;
    this.#options = options;
    this.#offer = offer;
    this.#hostname = opened.hostname;
    this.#tlsTickets = sharedTlsTickets(options.sessionKey, opened.hostname);
    this.#spec = spec;
    this.#log = log;
    this.#handlers = new ModeHandlers(spec, handler, {
      make: (of) => handlerFor(of, log, offer, options),
      // The offer and the handler change together.
      onServed: (served) => offer.update(served),
    });
    offer.decision.onChange(options.onServedAs);
    this.#challenges = certificates.acme.challenges;
    this.#certificate = new LiveCertificate({
      hostname: opened.hostname,
      tls: spec.tls,
      sources: certificates,
      onNew: (next) => this.#serveCertificate(next),
      onNews: options.onCertificate,
    });
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    this.#challenges.offer(this.#hostname, socket, () => {
      this.#offer.whenKnown(() => {
        if (this.#endpoint) this.#endpoint.visit(socket, visitor);
        else this.#early.keep(socket, () => this.#endpoint?.visit(socket, visitor));
      });
    });
  }

  /** Gets the first certificate. Throws `certificate_unavailable`, or the CA's error. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (!this.#endpoint) this.#serveCertificate(await this.#certificate.open(signal));
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#certificate.update(spec.tls);
    if (spec.replicas) this.#endpoint?.shareTlsTickets(this.#tlsTickets);
    this.#handlers.update(spec);
  }

  async prove({ address, port, via, signal }: ProveOptions): Promise<void> {
    const endpoint = this.#endpoint;
    if (!endpoint)
      throw new PortalError('certificate_unavailable', `no certificate for ${this.#hostname} yet`);
    await this.#offer.settle();
    const before = endpoint.certificate.fingerprint;
    const { replicas } = this.#spec;
    const visit = (): Promise<void> =>
      probe({
        address,
        port,
        via,
        hostname: this.#hostname,
        alpn: this.#offer.possibleNames,
        // It may be renewed during the visit: the previous one is ours as well.
        isOurs: (fingerprint) => [before, endpoint.certificate.fingerprint].includes(fingerprint),
        isOfReplica: replicas && ((session) => isOfReplica(session, endpoint.certificate, this.#tlsTickets)),
        target: endpoint,
        signal,
      });
    // Another replica may stop during a visit, which then looks like an interception.
    await pRetry(visit, {
      ...RETRY,
      retries: replicas ? REPLICA_VISITS - 1 : 0,
      signal,
      shouldRetry: ({ error }) => asPortalError(error).code === 'intercepted',
    });
  }

  async close(drain: Drain): Promise<void> {
    const startedAt = performance.now();
    // A connection in its handshake counts as a visitor.
    await this.#endpoint?.arrived(drain);
    const left = { ...drain, ms: Math.max(0, drain.ms - (performance.now() - startedAt)) };
    this.#offer.stop();
    this.#certificate.close();
    await this.#handlers.drain(left);
    this.#offer.close();
    this.#early.destroy();
    this.#endpoint?.close();
  }

  traffic(): Traffic {
    return this.#handlers.traffic();
  }

  servedAs(): ServedAs {
    return this.#offer.servedAs;
  }

  renewal(): RenewalStatus | undefined {
    return this.#certificate.renewal();
  }

  #serveCertificate(certificate: ServingCertificate): void {
    if (this.#endpoint) return this.#endpoint.serveCertificate(certificate);
    this.#endpoint = new TlsEndpoint({
      certificate,
      tlsTickets: this.#spec.replicas && this.#tlsTickets,
      choose: (offered) => this.#offer.choose(offered),
      onNoCommonProtocol: () => this.#offer.noCommonProtocol(),
      onVisitor: (socket, visitor) => this.#offer.whenKnown(() => this.#admit(socket, visitor)),
      log: this.#log,
    });
    this.#early.serve();
  }

  /** Checked after the handshake, because before it there is no way to state the reason. */
  #admit(socket: TLSSocket, visitor: VisitorInfo): void {
    const { address } = visitor.remote;
    if (isConnect(socket)) return void this.#greet(socket, visitor);
    if (this.#isSealed) return requestReconnect(socket, this.#spec.service);
    const { gates, recorders, accessLog } = this.#options;
    const refusal = gates.enter({ address }, socket);
    if (!refusal) return this.#serve(socket, visitor);
    const { service, inspect } = this.#spec;
    const at = performance.now();
    rejectVisitor(socket, refusal.page, (asked) => {
      const ended = { status: refusal.page.status, bytes: 0, durationMs: performance.now() - at };
      accessLog?.add(accessEntry(service, address, asked, ended));
      if (!inspect) return;
      const headers = gates.redact(asked.headers);
      recorders?.refused(service, { asked, headers, remote: address, hostname: this.#hostname, ...refusal });
    });
  }

  async #greet(socket: TLSSocket, visitor: VisitorInfo): Promise<void> {
    const { gates, signal } = this.#options;
    const arrival = { address: visitor.remote.address, hostname: this.#hostname };
    if (!(await gates.greet(socket, arrival, signal))) return;
    if (this.#isSealed) resetSocket(socket);
    else this.#serve(socket, visitor);
  }

  /** The offer may have changed since the visitor's handshake. */
  #serve(socket: TLSSocket, visitor: VisitorInfo): void {
    // Wait for the next handler, so that the visitor need not move.
    const { changing } = this.#handlers;
    if (changing) return void changing.then(() => this.#serve(socket, visitor));
    const agreed = alpnOf(socket);
    if (this.#handlers.isClosed || socket.destroyed) resetSocket(socket);
    else if (agreed === undefined || this.#offer.choose([agreed]) !== undefined)
      this.#handlers.visit(socket, visitor);
    else requestReconnect(socket, this.#spec.service);
  }

  /** Whether no visitor may be served, because no handler reads requests for the gates yet. */
  get #isSealed(): boolean {
    return this.#options.gates.readsHttp && this.#handlers.mode !== 'http';
  }
}
