import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { resetSocket } from '../../net/splice/reset.js';
import { replyLine } from '../../protocol/connect.js';
import { valuesOf, type Exchange, type Headers } from '../modes/http/exchange/exchange.js';
import { respondWith } from '../modes/http/exchange/own-response.js';
import { pathOf } from '../modes/http/routing/paths.js';
import type { Page } from '../pages/page.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import { AddressGate } from './address-gate.js';
import { BasicGate } from './basic-gate.js';
import type { Gate, GateOptions, Passed, Visitor } from './gate.js';
import { Greeter, type Arrival } from './greeter.js';
import { IdentityGate } from './identity-gate.js';
import { GATE_KINDS, passesByLink, readsHttp, type GateKey, type GateKind } from './kinds.js';
import { OidcGate } from './oidc-gate.js';
import { foreignRequest } from './gate-pages.js';
import { isForeign } from './own-page.js';
import { PinGate } from './pin-gate.js';
import { RateLimitGate } from './rate-limit-gate.js';
import type { RejectionReason, Rejections } from './rejections.js';
import { ShareLinks, type Found } from './share/links.js';
import { WebhookGate } from './webhook-gate.js';

const GATES: Readonly<Record<GateKey, new (options: GateOptions) => Gate>> = {
  allowIps: AddressGate,
  identities: IdentityGate,
  rateLimit: RateLimitGate,
  pin: PinGate,
  basic: BasicGate,
  oidc: OidcGate,
  webhook: WebhookGate,
};

/** Why a visitor may not connect: the gate, and what it responds in modes that have pages. */
export interface Refusal {
  readonly gate: RejectionReason;
  readonly page: Page;
}

/** The open gates of one lease, the same for each mode. */
export class Gates {
  readonly #gates: readonly { readonly kind: GateKind; readonly gate: Gate }[];
  readonly #asking: readonly { readonly kind: GateKind; readonly gate: Gate }[];
  readonly #links: ShareLinks | undefined;
  readonly #rejections: Rejections;
  #access: AccessSpec;
  readonly #greeter: Greeter;
  /** The connections of admitted visitors. */
  readonly #inside = new Map<Socket, Visitor>();

  constructor(options: GateOptions) {
    this.#rejections = options.rejections;
    this.#access = options.spec.access;
    this.#greeter = new Greeter({
      identity: options.identity,
      denies: (visitor) => {
        const by = this.#rejecting(visitor);
        return by && (by.kind.reason === 'identity' ? 'identity' : 'address');
      },
      onDenied: (denial, address) => this.#rejections.note(denial === 'address' ? 'ip' : 'identity', address),
    });
    const { shares, spec, rejections } = options;
    this.#links = shares && new ShareLinks(shares, spec, rejections);
    this.#gates = GATE_KINDS.map((kind) => ({ kind, gate: new GATES[kind.key](options) }));
    this.#asking = this.#gates.filter(({ gate }) => gate.ask !== undefined);
  }

  /** Whether a gate must read requests. */
  get readsHttp(): boolean {
    return readsHttp(this.#access);
  }

  /** Whether a visitor may connect. */
  admits(visitor: Visitor): boolean {
    return this.#rejecting(visitor) === undefined;
  }

  /**
   * Admits a visitor, or counts it as rejected and returns why. Without a socket, the caller watches for changes.
   */
  enter(visitor: Visitor, socket?: Socket): Refusal | undefined {
    const by = this.#rejecting(visitor);
    if (by) {
      const { reason } = by.kind;
      this.#rejections.note(reason, visitor.address);
      return { gate: reason, page: by.gate.page!(visitor) };
    }
    if (socket) this.#keep(visitor, socket);
    return undefined;
  }

  /**
   * Admits a visitor of `portal connect`: a handshake proves its identity. Resolves with whether it may send the bytes of the
   * service now; otherwise its connection has ended.
   */
  async greet(socket: TLSSocket, arrival: Arrival, signal: AbortSignal): Promise<boolean> {
    const visitor = await this.#greeter.greet(socket, arrival, signal);
    if (!visitor) return false;
    this.#keep(visitor, socket);
    socket.write(`${replyLine()}\n`);
    return true;
  }

  /** Asks each gate. Undefined if one responds. See `Gate.ask`. */
  ask(exchange: Exchange): Passed | Promise<Passed> {
    return this.#ask(exchange, 0, undefined);
  }

  /** @param link the visitor's share link, once a gate has looked for it */
  #ask(exchange: Exchange, from: number, link: Found | undefined): Passed | Promise<Passed> {
    let passed: Passed = exchange;
    for (let i = from; i < this.#asking.length; i++) {
      const { kind, gate } = this.#asking[i]!;
      passed.onAsked?.(kind.reason);
      if (this.#rejectsForeign(kind, passed)) return undefined;
      if (this.#links && passesByLink(kind, this.#access)) {
        link ??= this.#links.find(passed, kind.reason);
        if (link === 'responded') return undefined;
        if (link !== 'none' && !isOwnPath(kind, passed) && !gate.knows?.(passed)) {
          passed = this.#links.pass(gate.strip?.(passed) ?? passed, link);
          continue;
        }
      }
      const answer: Passed | Promise<Passed> = gate.ask!(passed);
      if (answer instanceof Promise) return this.#askLater(answer, i + 1, link);
      if (!answer) return undefined;
      passed = answer;
    }
    return passed;
  }

  /** Responds to what a page of another site sends with the visitor's cookie or password. */
  #rejectsForeign(kind: GateKind, exchange: Exchange): boolean {
    const { key, links, reason, strips = [] } = kind;
    // Gates that ask a person. A browser remembers the answer, and adds it to requests of any page.
    if (links === undefined || this.#access[key] === undefined || !isForeign(exchange)) return false;
    // On its own paths, a gate judges who sent a form. A page of another site cannot set the gate's own fields.
    if (isOwnPath(kind, exchange) || strips.some((field) => valuesOf(exchange, field) !== '')) return false;
    this.#rejections.note(reason, exchange.client.address);
    respondWith(exchange, foreignRequest);
    return true;
  }

  /** Prepares a request that has passed before, and that the owner repeats, for the target. */
  repeat(exchange: Exchange): Exchange {
    return this.#asking.reduce((passed, { gate }) => gate.strip?.(passed) ?? passed, exchange);
  }

  /** See `Gate.redact`. */
  redact(headers: Headers): Headers {
    return this.#asking.reduce((kept, { gate }) => gate.redact?.(kept) ?? kept, headers);
  }

  /** Applies new settings. Closes connections of visitors that may no longer be connected. */
  update(spec: ServiceSpec): void {
    const didRead = this.readsHttp;
    this.#access = spec.access;
    this.#links?.update(spec);
    // Each gate: `some` would stop at the first.
    const changed = this.#gates.filter(({ gate }) => gate.update(spec)).length > 0;
    // Nothing has read the requests of connected visitors, which may be no HTTP.
    const mustReconnect = changed || (this.readsHttp && !didRead);
    for (const [socket, visitor] of this.#inside)
      if (mustReconnect || !this.admits(visitor)) resetSocket(socket);
  }

  #keep(visitor: Visitor, socket: Socket): void {
    this.#inside.set(socket, visitor);
    socket.once('close', () => this.#inside.delete(socket));
  }

  /** Share links were revoked. */
  sharesRevoked(): void {
    this.#links?.revoked();
  }

  async #askLater(answer: Promise<Passed>, from: number, link: Found | undefined): Promise<Passed> {
    const passed = await answer;
    return passed && this.#ask(passed, from, link);
  }

  #rejecting(visitor: Visitor): { kind: GateKind; gate: Gate } | undefined {
    return this.#gates.find(({ gate }) => gate.admits?.(visitor) === false);
  }
}

/** Whether the gate responds to all requests for this path. */
const isOwnPath = ({ paths }: GateKind, { target }: Exchange): boolean =>
  paths !== undefined && paths.includes(pathOf(target));
