import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../../../lib/logger.js';
import { within } from '../../../lib/wait.js';
import { networkOf } from '../../../net/cidr.js';
import { SpliceSet, type Drain } from '../../../net/splice/splice.js';
import { LIMITS } from '../../../protocol/limits.js';
import { accessEntry, type AccessLog } from '../../access-log.js';
import type { Recorder, Recorders } from '../../inspect/recorder.js';
import type { NameRejection } from '../../lease/rejected-name.js';
import type { ServiceSpec } from '../../spec.js';
import { requestsIn, retiringIn, type ModeHandler, type Traffic, type VisitorInfo } from '../mode.js';
import { HTTP_LIMITS, type HttpLimits } from './limits.js';
import { askGates, OPEN, type RequestGates } from './ask-gates.js';
import type { Client, Exchange } from './exchange/exchange.js';
import { findRoute } from './routing/find-route.js';
import { foreignPage } from './routing/for-us.js';
import { Forwarding } from './forward.js';
import type { HeldRequests } from '../../hold/held-requests.js';
import { Holding } from './holding.js';
import { createH1, type Rejected } from './visitors/h1.js';
import { serveH2 } from './visitors/h2.js';
import { isConnect } from '../../target/upstream.js';
import { respondToAsterisk, respondWith } from './exchange/own-response.js';
import { describeRoute, type Route, type RouteTable } from './routing/routes.js';
import { isPassed, upgrade } from './upgrade.js';
import type { Protocols } from './targets/upstream.js';
import { Upstreams } from './targets/upstreams.js';
import { VisitorConnections } from './visitors/connections.js';

/** Callbacks about visitors and targets. */
export interface HandlerHooks {
  readonly recorders?: Recorders | undefined;
  readonly accessLog?: AccessLog | undefined;
  /** Holds requests while their target is down. Default: none is held. */
  readonly held?: HeldRequests | undefined;
  readonly onNameRejected?: ((rejection: NameRejection) => void) | undefined;
  /** Called when a visitor does not speak HTTP: its target may be another program now. */
  readonly onNotHttp?: () => void;
}

/**
 * Mode `http`: parses the visitor's requests and sends each to the target of its route. docs/guides/http.md describes the policy.
 */
export class HttpHandler implements ModeHandler {
  #spec: ServiceSpec;
  readonly #log: Logger;
  readonly #limits: HttpLimits;
  readonly #h1: Server;
  readonly #connections = new VisitorConnections();
  readonly #splices = new SpliceSet({
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: LIMITS.visitorLifetimeMs,
    firstResponseMs: 0,
  });
  readonly #upstreams: Upstreams;
  #table: RouteTable;
  /** Asked before the routes. */
  readonly #gates: RequestGates;
  readonly #hooks: HandlerHooks;
  /** Set while the service is inspected. */
  #recorder: Recorder | undefined;
  readonly #holding: Holding | undefined;
  /** Requests so far, including rejected ones. */
  requests = 0;
  #lastStatus: number | undefined;

  constructor(
    spec: ServiceSpec,
    log: Logger,
    protocols: Protocols,
    gates: RequestGates = OPEN,
    limits: Partial<HttpLimits> = {},
    hooks: HandlerHooks = {},
  ) {
    this.#spec = spec;
    this.#hooks = hooks;
    this.#inspect(spec);
    this.#gates = gates;
    this.#log = log;
    this.#limits = { ...HTTP_LIMITS, ...limits };
    this.#upstreams = new Upstreams(this.#limits, protocols);
    this.#table = this.#upstreams.routesOf(spec);
    const { held } = hooks;
    this.#holding =
      held && new Holding({ held, limits: this.#limits, serve: (exchange) => this.#serve(exchange), log });
    this.#holding?.update(spec.service, this.#table.routes);
    this.#h1 = createH1({
      limits: this.#limits,
      clientOf: (socket) => this.#connections.clientOf(socket),
      serve: (exchange) => this.#serve(exchange),
      draining: () => this.#connections.isDraining,
      onNotHttp: () => this.#hooks.onNotHttp?.(),
      onRejected: (client, rejected) => this.#rejected(client, rejected),
    });
  }

  visit(socket: TLSSocket, visitor: VisitorInfo): void {
    const client = clientOf(socket, visitor, this.#responded, this.#hooks.accessLog && this.#ended);
    socket.on('error', () => undefined);
    if (socket.alpnProtocol === 'h2') {
      const options = {
        limits: this.#limits,
        serve: (exchange: Exchange) => this.#serve(exchange),
        onNotHttp: () => this.#hooks.onNotHttp?.(),
        onRejected: (rejected: Rejected) => this.#rejected(client, rejected),
      };
      this.#connections.add(socket, { client, session: serveH2(socket, client, options) });
    } else {
      this.#connections.add(socket, { client });
      this.#h1.emit('connection', socket);
    }
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#inspect(spec);
    this.#table = this.#upstreams.routesOf(spec);
    this.#holding?.update(spec.service, this.#table.routes);
  }

  readonly #responded = (status: number): void => void (this.#lastStatus = status);

  readonly #ended: Client['onEnd'] = (asked, ended) =>
    this.#hooks.accessLog!.add(accessEntry(this.#spec.service, asked.client.address, asked, ended));

  async drain(drain: Drain): Promise<void> {
    this.#recorder?.close();
    const requests = this.#connections.drain(drain);
    if (drain.retires) this.#upstreams.retire(drain.ms);
    await Promise.all([requests, this.#splices.drain(drain), this.#endDeliveries(drain)]);
    this.#connections.cut();
    // Stops its timers.
    this.#h1.close();
    this.#upstreams.destroy();
  }

  /** A target that got a request should respond before its connection ends. */
  async #endDeliveries({ ms }: Drain): Promise<void> {
    if (this.#holding)
      await within(this.#holding.close(), Math.max(1, ms), 'deliveries').catch(() => undefined);
  }

  traffic(): Traffic {
    const connections = this.#connections.traffic();
    return {
      ...connections,
      // Several requests and upgraded connections of one visitor count once.
      ...retiringIn(Math.min(this.#upstreams.retiring, connections.visitors)),
      ...requestsIn(this.requests, this.#lastStatus),
    };
  }

  #inspect({ service, inspect }: ServiceSpec): void {
    this.#recorder?.close();
    this.#recorder =
      inspect && this.#hooks.recorders?.open(service, inspect, (exchange) => this.#serve(exchange));
  }

  /** Lists a request that no route saw, with the reason. */
  #rejected({ address, hostname }: Client, { asked, page, why }: Rejected): void {
    const title = why === undefined ? page.title : `${page.title}: ${why}`;
    this.#hooks.recorders?.refused(this.#spec.service, {
      asked,
      headers: this.#gates.redact(asked.headers),
      remote: address,
      hostname,
      page: { ...page, title },
    });
  }

  #serve(asked: Exchange): void {
    this.requests++;
    const exchange = this.#recorder ? this.#recorder.record(asked, this.#gates.redact(asked.headers)) : asked;
    const foreign = foreignPage(asked);
    if (foreign) return respondWith(exchange, foreign);
    const { passesGates } = asked;
    const ask = (each: Exchange) => (passesGates ? this.#gates.repeat(each) : this.#gates.ask(each));
    askGates(exchange, ask, this.#route, this.#log);
  }

  /** No request is known that fails here. Its error must end only this request. */
  readonly #route = (exchange: Exchange): void => {
    try {
      this.#sendOn(exchange);
    } catch (error) {
      this.#log.error({ err: error }, 'serving a request failed');
      exchange.abort();
    }
  };

  #sendOn(exchange: Exchange): void {
    exchange.onPassed?.(exchange.identity);
    const found = findRoute(exchange, this.#table);
    if (found === 'options') respondToAsterisk(exchange);
    else if ('upstream' in found) this.#forward(exchange, found);
    else respondWith(exchange, found);
  }

  #forward(exchange: Exchange, route: Route): void {
    const { upgrade: protocol } = exchange;
    const switches = protocol !== undefined && isPassed(protocol);
    const hold = this.#holding?.take(exchange, route);
    if (hold === 'taken') return;
    const { service } = this.#spec;
    const forwarding = new Forwarding(exchange, route, this.#table, service, this.#limits, (problem) => {
      if (!switches) route.upstream.done(forwarding);
      if (problem !== undefined)
        this.#log.warn(
          { route: describeRoute(route), reason: (problem as Error).message },
          'a request failed',
        );
    });
    forwarding.hold = hold;
    forwarding.onNameRejected = this.#hooks.onNameRejected;
    if (switches) void upgrade(forwarding, protocol, this.#splices, this.#limits);
    else route.upstream.send(forwarding);
  }
}

function clientOf(
  socket: TLSSocket,
  { remote }: VisitorInfo,
  onResponse: Client['onResponse'],
  onEnd: Client['onEnd'],
): Client {
  const address = remote.address.replace(/^::ffff:(?=\d+\.)/i, '');
  // For server-side sockets, Node provides the name only in this property.
  const { servername } = socket as { servername?: string | false | null };
  return {
    address,
    network: networkOf(address),
    forwardedFor: isIPv6(address) ? `"[${address}]"` : address,
    hostname: servername || '',
    ...(isConnect(socket) && { isConnect: true }),
    socket,
    onResponse,
    onEnd,
  };
}
