import type { Socket } from 'node:net';
import type { Drain } from '../../net/splice.js';
import type { Logger } from '../../lib/logger.js';
import { LiveCertificate } from '../../certificates/live.js';
import { NO_TRAFFIC, sumTraffic, type ModeHandler, type Traffic, type VisitorInfo } from '../modes/mode.js';
import { StreamHandler } from '../modes/stream.js';
import { TlsEndpoint } from '../modes/tls-endpoint.js';
import { probe } from '../probe.js';
import type { Mode, ServiceSpec } from '../spec.js';
import type { PublicWay, Serving, ServingOptions } from './serving.js';

/** A handler that another mode took the place of lets its visitors finish what they began. */
const REPLACED_DRAIN: Drain = { ms: 300_000 };

/** Opens what serves a lease under a hostname, in mode stream or http. Throws `certificate_unavailable`. */
export async function openTlsServing(options: ServingOptions): Promise<Serving> {
  const { spec, opened, localCertificates, log } = options;
  let serving: TlsServing | undefined;
  const certificate = new LiveCertificate({
    hostname: opened.hostname,
    tls: spec.tls,
    local: localCertificates,
    onNew: (next) => serving?.endpoint.serveCertificate(next),
    log,
  });
  const first = await certificate.open();
  const handler = await handlerFor(spec, log);
  serving = new TlsServing(
    options,
    certificate,
    handler,
    (alpn, onVisitor) => new TlsEndpoint({ certificate: first, alpn, onVisitor, log }),
  );
  return serving;
}

async function handlerFor(spec: ServiceSpec, log: Logger): Promise<ModeHandler> {
  if (spec.mode !== 'http') return new StreamHandler(spec, log);
  throw new Error('mode http is not there yet');
}

type MakeEndpoint = (
  alpn: () => readonly string[],
  onVisitor: (socket: Socket, visitor: VisitorInfo) => void,
) => TlsEndpoint;

/** One TLS endpoint with one certificate; behind it the handler of the service's mode. */
class TlsServing implements Serving {
  readonly endpoint: TlsEndpoint;
  readonly #hostname: string;
  readonly #log: Logger;
  readonly #certificate: LiveCertificate;
  #spec: ServiceSpec;
  #mode: Mode;
  #handler: ModeHandler;
  /** Handlers of another mode that the service was in before, until their visitors have left. */
  readonly #former = new Set<ModeHandler>();
  /** What handlers that are gone have moved. */
  #past: Traffic = NO_TRAFFIC;
  #closed = false;

  constructor(
    { spec, opened, log }: ServingOptions,
    certificate: LiveCertificate,
    handler: ModeHandler,
    makeEndpoint: MakeEndpoint,
  ) {
    this.#hostname = opened.hostname;
    this.#spec = spec;
    this.#mode = spec.mode;
    this.#log = log;
    this.#certificate = certificate;
    this.#handler = handler;
    this.endpoint = makeEndpoint(
      () => this.#alpn(),
      (socket, visitor) => this.#handler.visit(socket, visitor),
    );
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    this.endpoint.visit(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#certificate.update(spec.tls);
    if (spec.mode === this.#mode) this.#handler.update(spec);
    else void this.#changeMode(spec);
  }

  prove({ address, port, signal }: PublicWay): Promise<void> {
    return probe({
      address,
      port,
      hostname: this.#hostname,
      alpn: this.#alpn(),
      fingerprint: this.endpoint.certificate.fingerprint,
      target: this.endpoint,
      signal,
    });
  }

  async close(drain: Drain): Promise<void> {
    this.#closed = true;
    this.#certificate.close();
    await Promise.all([this.#handler, ...this.#former].map((handler) => handler.drain(drain)));
    this.endpoint.close();
  }

  traffic(): Traffic {
    return [this.#handler, ...this.#former].reduce(
      (sum, handler) => sumTraffic(sum, handler.traffic()),
      this.#past,
    );
  }

  #alpn(): readonly string[] {
    const { alpn, mode } = this.#spec;
    if (alpn !== 'auto') return alpn;
    return mode === 'http' ? ['h2', 'http/1.1'] : ['http/1.1'];
  }

  async #changeMode(spec: ServiceSpec): Promise<void> {
    this.#mode = spec.mode;
    const next = await handlerFor(spec, this.#log);
    // Meanwhile it may have been closed, or changed once more.
    if (this.#closed || this.#spec.mode !== spec.mode) return void next.drain({ ms: 0 });
    if (this.#spec !== spec) next.update(this.#spec);
    const former = this.#handler;
    this.#handler = next;
    this.#former.add(former);
    await former.drain(REPLACED_DRAIN);
    this.#former.delete(former);
    this.#past = sumTraffic(this.#past, { ...former.traffic(), visitors: 0 });
  }
}
