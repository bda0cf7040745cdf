import type { ServerHttp2Session } from 'node:http2';
import type { Server } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../../../lib/logger.js';
import { activeNow } from '../../../lib/stalls.js';
import { WhenEmpty } from '../../../lib/when-empty.js';
import { within } from '../../../lib/wait.js';
import { networkOf } from '../../../net/cidr.js';
import { STALLED_MS } from '../../../net/splice/retirement.js';
import { SpliceSet, type Drain } from '../../../net/splice/splice.js';
import { formatTarget, type Target } from '../../../net/target/target.js';
import { LIMITS } from '../../../protocol/limits.js';
import { accessEntry, type AccessLog } from '../../access-log.js';
import type { Passed } from '../../access/gate.js';
import type { Gates } from '../../access/gates.js';
import type { Recorder, Recorders } from '../../inspect/recorder.js';
import type { NameRejection } from '../../lease/rejected-name.js';
import { retirementOf, type ServiceSpec } from '../../spec.js';
import { requestsIn, retiringIn, type ModeHandler, type Traffic, type VisitorInfo } from '../mode.js';
import { HTTP_LIMITS, type HttpLimits } from './limits.js';
import { cut, hasExchange, isResponding } from './cut.js';
import { respond, type Client, type Exchange } from './exchange.js';
import { foreignPage, isForUs } from './for-us.js';
import { Forwarding } from './forward.js';
import type { HeldRequests } from '../../hold/held-requests.js';
import { Holding } from './holding.js';
import { createH1, type Rejected } from './h1.js';
import { serveH2 } from './h2.js';
import { PAGES } from '../../pages/pages.js';
import { isConnect } from '../../target/upstream.js';
import { respondWith } from './own-response.js';
import { isWellFormed } from './paths.js';
import { describeRoute, RouteTable } from './routes.js';
import { isPassed, upgrade } from './upgrade.js';
import { Upstream, type Protocols } from './upstream.js';

/** Longest interval between two checks of a draining handler's connections. */
const MAX_CHECK_MS = 250;
/** Without bytes for this long, no request is on its way on a connection between requests. */
const IDLE_MS = 500;

/**
 * Targets respond to these methods with the received request, and visitors must not see header fields that a route
 * sets (RFC 9110, 9.3.8).
 */
const ECHOING: ReadonlySet<string> = new Set(['TRACE', 'TRACK']);

/** The gates as requests see them. */
type RequestGates = Pick<Gates, 'ask' | 'repeat' | 'redact'>;

/** Every request passes. */
export const OPEN: RequestGates = {
  ask: (exchange) => exchange,
  repeat: (exchange) => exchange,
  redact: (headers) => headers,
};

/** A visitor's connection. */
interface Connection {
  readonly client: Client;
  readonly session?: ServerHttp2Session;
}

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
  readonly #protocols: Protocols;
  readonly #h1: Server;
  readonly #connections = new Map<Socket, Connection>();
  readonly #splices = new SpliceSet({
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: LIMITS.visitorLifetimeMs,
    firstResponseMs: 0,
  });
  readonly #upstreams = new Map<string, Upstream>();
  /** Upstreams without a route, while requests of theirs are in progress. */
  readonly #formerUpstreams = new Set<Upstream>();
  #table: RouteTable;
  /** Asked before the routes. */
  readonly #gates: RequestGates;
  readonly #hooks: HandlerHooks;
  /** Set while the service is inspected. */
  #recorder: Recorder | undefined;
  readonly #holding: Holding | undefined;
  #draining = false;
  /** Drains that wait for the last connection. A later drain may be shorter. */
  readonly #whenEmpty = new WhenEmpty();
  #bytesIn = 0;
  #bytesOut = 0;
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
    this.#protocols = protocols;
    this.#log = log;
    this.#limits = { ...HTTP_LIMITS, ...limits };
    this.#table = this.#tableOf(spec);
    const { held } = hooks;
    this.#holding =
      held && new Holding({ held, limits: this.#limits, serve: (exchange) => this.#serve(exchange), log });
    this.#holding?.update(spec.service, this.#table.routes);
    this.#h1 = createH1({
      limits: this.#limits,
      clientOf: (socket) => this.#connections.get(socket)?.client,
      serve: (exchange) => this.#serve(exchange),
      draining: () => this.#draining,
      onNotHttp: () => this.#hooks.onNotHttp?.(),
      onRejected: (client, rejected) => this.#rejected(client, rejected),
    });
  }

  visit(socket: TLSSocket, visitor: VisitorInfo): void {
    const client = clientOf(socket, visitor, this.#responded, this.#hooks.accessLog && this.#ended);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#closed(socket));
    if (socket.alpnProtocol === 'h2') {
      const options = {
        limits: this.#limits,
        serve: (exchange: Exchange) => this.#serve(exchange),
        onNotHttp: () => this.#hooks.onNotHttp?.(),
        onRejected: (rejected: Rejected) => this.#rejected(client, rejected),
      };
      this.#connections.set(socket, { client, session: serveH2(socket, client, options) });
    } else {
      this.#connections.set(socket, { client });
      this.#h1.emit('connection', socket);
    }
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#inspect(spec);
    const before = new Set(this.#upstreams.keys());
    this.#table = this.#tableOf(spec);
    for (const { target } of this.#table.routes) before.delete(keyOf(target, spec));
    // Requests in progress hold their upstream, which closes with the last one.
    for (const key of before) {
      const former = this.#upstreams.get(key)!;
      former.close();
      this.#upstreams.delete(key);
      this.#formerUpstreams.add(former);
    }
    const { ms } = retirementOf(spec);
    this.#formerUpstreams.forEach((former) => former.lasting.retire(ms));
    this.#holding?.update(spec.service, this.#table.routes);
  }

  readonly #responded = (status: number): void => void (this.#lastStatus = status);

  readonly #ended: Client['onEnd'] = (asked, ended) =>
    this.#hooks.accessLog!.add(accessEntry(this.#spec.service, asked.client.address, asked, ended));

  async drain(drain: Drain): Promise<void> {
    this.#draining = true;
    this.#recorder?.close();
    for (const { session } of this.#connections.values()) session?.close();
    if (drain.retires) for (const upstream of this.#upstreams.values()) upstream.lasting.retire(drain.ms);
    await Promise.all([this.#drainRequests(drain), this.#splices.drain(drain), this.#endDeliveries(drain)]);
    for (const socket of this.#connections.keys()) cut(socket);
    // An earlier drain must not wait for sockets that close slowly.
    this.#whenEmpty.emptied();
    // Stops its timers.
    this.#h1.close();
    for (const upstream of this.#upstreams.values()) upstream.destroy();
    this.#upstreams.clear();
  }

  /** A target that got a request should respond before its connection ends. */
  async #endDeliveries({ ms }: Drain): Promise<void> {
    if (this.#holding)
      await within(this.#holding.close(), Math.max(1, ms), 'deliveries').catch(() => undefined);
  }

  traffic(): Traffic {
    let bytesIn = this.#bytesIn;
    let bytesOut = this.#bytesOut;
    for (const socket of this.#connections.keys()) {
      bytesIn += socket.bytesRead;
      bytesOut += socket.bytesWritten;
    }
    const visitors = this.#connections.size;
    const requests = requestsIn(this.requests, this.#lastStatus);
    return { visitors, ...retiringIn(this.#retiring), bytesIn, bytesOut, ...requests };
  }

  /** Requests and upgraded connections at former targets. Several of one visitor count once. */
  get #retiring(): number {
    let users = 0;
    for (const former of this.#formerUpstreams) {
      if (former.users === 0) this.#formerUpstreams.delete(former);
      users += former.users;
    }
    return Math.min(users, this.#connections.size);
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
    let passed: Passed | Promise<Passed>;
    try {
      passed = asked.passesGates ? this.#gates.repeat(exchange) : this.#gates.ask(exchange);
    } catch (error) {
      return this.#gateFailed(exchange, error);
    }
    if (!(passed instanceof Promise)) return passed && this.#route(passed);
    let isGone = false;
    exchange.onDisconnect(() => (isGone = true));
    passed.then(
      (later) => later && !isGone && this.#route(later),
      (error: unknown) => this.#gateFailed(isGone ? undefined : exchange, error),
    );
  }

  #gateFailed(exchange: Exchange | undefined, error: unknown): void {
    this.#log.error({ err: error }, 'a gate failed');
    if (exchange?.begun) exchange.abort();
    else if (exchange) respondWith(exchange, PAGES.gateFailed);
  }

  /** No request is known that fails here. Its error must end only this request. */
  #route(exchange: Exchange): void {
    try {
      this.#sendOn(exchange);
    } catch (error) {
      this.#log.error({ err: error }, 'serving a request failed');
      exchange.abort();
    }
  }

  #sendOn(exchange: Exchange): void {
    exchange.onPassed?.(exchange.identity);
    if (!isForUs(exchange)) return respondWith(exchange, PAGES.misdirected);
    if (exchange.target === '*' && exchange.method === 'OPTIONS') return respondToAsterisk(exchange);
    if (ECHOING.has(exchange.method)) return respondWith(exchange, PAGES.echoRefused);
    const { upgrade: protocol } = exchange;
    if (!isWellFormed(exchange.target)) return respondWith(exchange, PAGES.badRequest);
    const table = this.#table;
    const route = table.find(exchange.target);
    if (route === 'unsafe') return respondWith(exchange, PAGES.unsafePath);
    if (!route) return respondWith(exchange, PAGES.noRoute);
    const switches = protocol !== undefined && isPassed(protocol);
    const hold = this.#holding?.take(exchange, route);
    if (hold === 'taken') return;
    const { service } = this.#spec;
    const forwarding = new Forwarding(exchange, route, table, service, this.#limits, (problem) => {
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

  #tableOf(spec: ServiceSpec): RouteTable {
    return new RouteTable(spec, (target) => {
      const key = keyOf(target, spec);
      let upstream = this.#upstreams.get(key);
      if (!upstream)
        this.#upstreams.set(
          key,
          (upstream = new Upstream(target, spec.targetTls, this.#limits, this.#protocols)),
        );
      return upstream;
    });
  }

  #closed(socket: Socket): void {
    this.#connections.delete(socket);
    this.#bytesIn += socket.bytesRead;
    this.#bytesOut += socket.bytesWritten;
    if (this.#connections.size === 0) this.#whenEmpty.emptied();
  }

  /** Waits for the last connection to close, within the limits of `drain`. */
  async #drainRequests({ ms, quietMs, retires, onCut }: Drain): Promise<void> {
    if (this.#connections.size === 0 || (ms <= 0 && !retires)) return;
    const checking = retires
      ? this.#closeIdle(STALLED_MS, { onCut })
      : this.#closeIdle(quietMs ?? Infinity, { onCut, keepsExchanges: true });
    // Retiring connections that still move have no limit.
    await this.#whenEmpty.wait(retires ? undefined : ms);
    clearInterval(checking);
    // The SpliceSet counts switched connections.
    const cutOff = [...this.#connections.values()].filter(({ client }) => !client.isSwitched).length;
    if (cutOff > 0) onCut?.(cutOff);
  }

  /**
   * Ends connections that are idle between requests, and closes those without bytes for `quietMs`, until the timer is cleared.
   * `keepsExchanges`: but not those with a request or response in progress, since the target may be slow.
   */
  #closeIdle(
    quietMs: number,
    { onCut, keepsExchanges = false }: { onCut: Drain['onCut']; keepsExchanges?: boolean },
  ): NodeJS.Timeout {
    const moved = new Map<Socket, { bytes: number; at: number }>();
    const check = (): void => {
      for (const [socket, { client, session }] of this.#connections) {
        // The SpliceSet drains switched connections.
        if (client.isSwitched || (keepsExchanges && hasExchange(socket, client))) continue;
        const bytes = socket.bytesRead + socket.bytesWritten;
        const last = moved.get(socket);
        const quiet = activeNow() - (last?.at ?? Infinity);
        if (last?.bytes !== bytes) moved.set(socket, { bytes, at: activeNow() });
        else if (!session && !client.unanswered && !isResponding(socket)) endIdle(socket, quiet);
        else if (quiet > quietMs) {
          moved.delete(socket);
          onCut?.(1);
          cut(socket);
        }
      }
    };
    return setInterval(check, Math.min(quietMs / 4, MAX_CHECK_MS));
  }
}

/** Ends an idle connection: not at once, because the visitor's next request may be on its way. */
function endIdle(socket: Socket, quietMs: number): void {
  if (quietMs > 2 * IDLE_MS) socket.destroy();
  else if (quietMs > IDLE_MS) socket.end();
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

/** `OPTIONS *` refers to the whole server, which is Portal. */
function respondToAsterisk(exchange: Exchange): void {
  exchange.onOwnResponse?.({ code: 'options', title: 'OPTIONS for the whole server' });
  respond(exchange, 204, 'No Content', ['Cache-Control', 'no-store'], '');
}

function keyOf(target: Target, { targetTls }: ServiceSpec): string {
  return `${formatTarget(target)} ${JSON.stringify(targetTls)}`;
}
