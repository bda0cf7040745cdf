import { accessEntry } from '../access-log.js';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { resetSocket } from '../../net/splice/reset.js';
import pRetry from 'p-retry';
import type { Drain } from '../../net/splice/splice.js';
import type { Logger } from '../../lib/logger.js';
import type { AcmeChallenges } from '../../certificates/acme/challenges.js';
import type { RenewalStatus } from '../../certificates/acme/held.js';
import { LiveCertificate } from '../../certificates/live.js';
import type { ServingCertificate } from '../../certificates/source.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { LIMITS } from '../../protocol/limits.js';
import { AutoHandler } from '../modes/auto.js';
import {
  NO_TRAFFIC,
  retiringIn,
  sumTraffic,
  type ModeHandler,
  type Traffic,
  type VisitorInfo,
} from '../modes/mode.js';
import type { PipedHooks } from '../modes/piped.js';
import { StreamHandler } from '../modes/stream.js';
import { TlsEndpoint } from '../modes/tls-endpoint.js';
import { probe } from '../proof/probe.js';
import { RETRY } from '../session/retry.js';
import { retirementOf, servedMode, type Mode, type ServiceSpec } from '../spec.js';
import { requestReconnect, rejectVisitor } from '../pages/reject-visitor.js';
import { alpnOf, isConnect } from '../target/upstream.js';
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
  /** Visitors that arrived before the endpoint, and a function that passes each to it. */
  readonly #early = new Map<Socket, () => void>();
  /** The latest settings. */
  #spec: ServiceSpec;
  /** The mode of the current handler. */
  #mode: Mode;
  #handler: ModeHandler;
  /** Resolves once the handler of the next mode serves. */
  #changing: Promise<void> | undefined;
  /** Handlers of previous modes, until their visitors have left. */
  readonly #former = new Set<ModeHandler>();
  /** The traffic of closed handlers. */
  #past: Traffic = NO_TRAFFIC;
  #closed = false;

  constructor(options: ServingOptions, offer: AlpnOffer, handler: ModeHandler) {
    const { spec, opened, certificates, log } = options;
    this.#options = options;
    this.#offer = offer;
    this.#hostname = opened.hostname;
    this.#tlsTickets = sharedTlsTickets(options.sessionKey, opened.hostname);
    this.#spec = spec;
    this.#mode = servedMode(spec);
    this.#log = log;
    this.#handler = handler;
    offer.decision.onChange(options.onServedAs);
    this.#challenges = certificates.acme.challenges;
    this.#certificate = new LiveCertificate({
      hostname: opened.hostname,
      tls: spec.tls,
      sources: certificates,
      onNew: (next) => this.#serveCertificate(next),
      log,
    });
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    this.#challenges.offer(this.#hostname, socket, () => {
      this.#offer.whenKnown(() => {
        if (this.#endpoint) this.#endpoint.visit(socket, visitor);
        else this.#keep(socket, visitor);
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
    // The handler being created starts with the latest settings.
    if (this.#changing) return;
    if (servedMode(spec) !== this.#mode) return void (this.#changing = this.#changeMode(spec));
    this.#offer.update(spec);
    this.#handler.update(spec);
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
    this.#closed = true;
    const left = { ...drain, ms: Math.max(0, drain.ms - (performance.now() - startedAt)) };
    this.#offer.stop();
    this.#certificate.close();
    await Promise.all([this.#handler, ...this.#former].map((handler) => handler.drain(left)));
    this.#offer.close();
    for (const socket of this.#early.keys()) socket.destroy();
    this.#endpoint?.close();
  }

  traffic(): Traffic {
    // During a change of mode, the current handler still serves in the old way.
    const present = this.#handler.traffic();
    return [...this.#former]
      .map((former) => former.traffic())
      .map(allRetiring)
      .reduce(sumTraffic, sumTraffic(this.#past, this.#changing ? allRetiring(present) : present));
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
    for (const serve of this.#early.values()) serve();
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
    if (this.#changing) return void this.#changing.then(() => this.#serve(socket, visitor));
    const agreed = alpnOf(socket);
    if (this.#closed || socket.destroyed) resetSocket(socket);
    else if (agreed === undefined || this.#offer.choose([agreed]) !== undefined)
      this.#handler.visit(socket, visitor);
    else requestReconnect(socket, this.#spec.service);
  }

  /** Whether no visitor may be served, because no handler reads requests for the gates yet. */
  get #isSealed(): boolean {
    return this.#options.gates.readsHttp && this.#mode !== 'http';
  }

  /** Lets a visitor wait for the first certificate, as long as the relay waits for the first response. */
  #keep(socket: Socket, visitor: VisitorInfo): void {
    const stop = (): void => {
      clearTimeout(timer);
      socket.off('close', stop);
      this.#early.delete(socket);
    };
    const timer = setTimeout(() => socket.destroy(), LIMITS.firstResponseMs);
    socket.once('close', stop);
    this.#early.set(socket, () => {
      stop();
      this.#endpoint?.visit(socket, visitor);
    });
  }

  /** The offer and the handler change at the same moment, so that a negotiated protocol always gets its handler. */
  async #changeMode(spec: ServiceSpec): Promise<void> {
    const next = await handlerFor(spec, this.#log, this.#offer, this.#options);
    this.#changing = undefined;
    if (this.#closed) return void next.drain({ ms: 0 });
    const former = this.#handler;
    this.#handler = next;
    this.#mode = servedMode(spec);
    this.#offer.update(spec);
    // The settings may have changed again meanwhile.
    if (this.#spec !== spec) this.update(this.#spec);
    void this.#retire(former);
  }

  /** Closes the visitors of a replaced handler, each at its first quiet moment. */
  async #retire(former: ModeHandler): Promise<void> {
    this.#former.add(former);
    await former.drain(retirementOf(this.#spec));
    this.#former.delete(former);
    const { bytesIn, bytesOut } = former.traffic();
    this.#past = sumTraffic(this.#past, { visitors: 0, bytesIn, bytesOut });
  }
}

function allRetiring(traffic: Traffic): Traffic {
  return { ...traffic, ...retiringIn(traffic.visitors) };
}
