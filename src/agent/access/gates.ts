import type { Socket } from 'node:net';
import { resetSocket } from '../../net/reset.js';
import type { Exchange } from '../modes/http/exchange.js';
import type { Page } from '../pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import { ADDRESS_GATE } from './address-gate.js';
import type { Gate, GateKind, GateOptions, Passed } from './gate.js';
import { PIN_GATE } from './pin-gate.js';
import type { Rejections } from './rejections.js';

/** Every kind of gate, in the order in which a visitor passes them: those that know the address come first. */
export const GATE_KINDS: readonly GateKind[] = [ADDRESS_GATE, PIN_GATE];

/** Whether a gate must read requests. */
export const readsHttp = (access: AccessSpec): boolean =>
  GATE_KINDS.some((kind) => kind.readsHttp && access[kind.key] !== undefined);

/** Whether `after` admits visitors that a gate rejected `before`. */
export const admitsMore = (before: AccessSpec, after: AccessSpec): boolean =>
  GATE_KINDS.some((kind) => kind.widens(before, after));

/** Request header fields for gates, in lower case. */
export const GATE_FIELDS: readonly string[] = GATE_KINDS.flatMap(({ strips }) => strips);

/** Paths on which gates respond instead of the target. Requests there may contain a secret. */
export const GATE_PATHS: ReadonlySet<string> = new Set(GATE_KINDS.flatMap(({ paths }) => paths));

/** How programs pass the gates that read requests: `curl` has the arguments for it. Undefined without such a gate. */
export function gateFor(access: AccessSpec): { readonly curl?: string } | undefined {
  const set = GATE_KINDS.filter((kind) => kind.readsHttp && access[kind.key] !== undefined);
  if (set.length === 0) return undefined;
  return set.every(({ curl }) => curl !== undefined) ? { curl: set.map(({ curl }) => curl).join(' ') } : {};
}

/** The open gates of one lease, the same for each mode. */
export class Gates {
  readonly #gates: readonly { readonly kind: GateKind; readonly gate: Gate }[];
  readonly #asking: readonly Gate[];
  readonly #rejections: Rejections;
  #access: AccessSpec;
  /** Admitted visitors with their addresses. */
  readonly #inside = new Map<Socket, string>();

  constructor(options: GateOptions) {
    this.#rejections = options.rejections;
    this.#access = options.spec.access;
    this.#gates = GATE_KINDS.map((kind) => ({ kind, gate: kind.open(options) }));
    this.#asking = this.#gates.map(({ gate }) => gate).filter((gate) => gate.ask !== undefined);
  }

  /** Whether a gate must read requests. */
  get readsHttp(): boolean {
    return readsHttp(this.#access);
  }

  /** Whether visitors from this address may connect. */
  admits(address: string): boolean {
    return this.#rejecting(address) === undefined;
  }

  /**
   * Admits a visitor, or counts it as rejected and returns the page that says why. Without a socket, the caller watches for
   * changes.
   */
  enter(address: string, socket?: Socket): Page | undefined {
    const by = this.#rejecting(address);
    if (by) {
      this.#rejections.note(by.kind.reason, address);
      return by.gate.page!(address);
    }
    if (socket) {
      this.#inside.set(socket, address);
      socket.once('close', () => this.#inside.delete(socket));
    }
    return undefined;
  }

  /** Asks each gate. Undefined if one responds. See `Gate.ask`. */
  ask(exchange: Exchange, from = 0): Passed | Promise<Passed> {
    let passed: Passed = exchange;
    for (let i = from; i < this.#asking.length; i++) {
      const answer: Passed | Promise<Passed> = this.#asking[i]!.ask!(passed);
      if (answer instanceof Promise) return this.#askLater(answer, i + 1);
      if (!answer) return undefined;
      passed = answer;
    }
    return passed;
  }

  /** Applies new settings. Closes connections of visitors that may no longer be connected. */
  update(spec: ServiceSpec): void {
    this.#access = spec.access;
    // Each gate: `some` would stop at the first.
    const mustReconnect = this.#gates.filter(({ gate }) => gate.update(spec)).length > 0;
    for (const [socket, address] of this.#inside)
      if (mustReconnect || !this.admits(address)) resetSocket(socket);
  }

  async #askLater(answer: Promise<Passed>, from: number): Promise<Passed> {
    const passed = await answer;
    return passed && this.ask(passed, from);
  }

  #rejecting(address: string): { kind: GateKind; gate: Gate } | undefined {
    return this.#gates.find(({ gate }) => gate.admits?.(address) === false);
  }
}
