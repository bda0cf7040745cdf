import type { Socket } from 'node:net';
import type { Drain } from '../../net/splice/splice.js';
import {
  NO_TRAFFIC,
  retiringIn,
  sumTraffic,
  type ModeHandler,
  type Traffic,
  type VisitorInfo,
} from '../modes/mode.js';
import { retirementOf, servedMode, type Mode, type ServiceSpec } from '../spec.js';

export interface ModeHandlersOptions {
  /** Makes the handler of the spec's mode. */
  readonly make: (spec: ServiceSpec) => Promise<ModeHandler>;
  /** Called at the moment from which visitors are served with `spec`. */
  readonly onServed: (spec: ServiceSpec) => void;
}

/** Owns the handlers of a lease. A change of mode replaces the handler, and the former one lets its visitors finish. */
export class ModeHandlers {
  readonly #options: ModeHandlersOptions;
  /** The latest settings. */
  #spec: ServiceSpec;
  /** The mode of the current handler. */
  #mode: Mode;
  #present: ModeHandler;
  #changing: Promise<void> | undefined;
  /** Handlers of previous modes, until their visitors have left. */
  readonly #former = new Set<ModeHandler>();
  /** The traffic of closed handlers. */
  #past: Traffic = NO_TRAFFIC;
  #isClosed = false;

  /** @param first the handler of the mode of `spec` */
  constructor(spec: ServiceSpec, first: ModeHandler, options: ModeHandlersOptions) {
    this.#options = options;
    this.#spec = spec;
    this.#mode = servedMode(spec);
    this.#present = first;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Resolves once the handler of the next mode serves. Undefined if the mode does not change now. */
  get changing(): Promise<void> | undefined {
    return this.#changing;
  }

  /** Whether a drain has started. No visit follows. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    this.#present.visit(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    // The handler being created starts with the latest settings.
    if (this.#changing) return;
    if (servedMode(spec) !== this.#mode) return void (this.#changing = this.#changeMode(spec));
    this.#options.onServed(spec);
    this.#present.update(spec);
  }

  async drain(drain: Drain): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#present, ...this.#former].map((handler) => handler.drain(drain)));
  }

  traffic(): Traffic {
    // During a change of mode, the current handler still serves in the old way.
    const present = this.#present.traffic();
    return [...this.#former]
      .map((former) => former.traffic())
      .map(allRetiring)
      .reduce(sumTraffic, sumTraffic(this.#past, this.#changing ? allRetiring(present) : present));
  }

  /** The offer and the handler change at the same moment, so that a negotiated protocol always gets its handler. */
  async #changeMode(spec: ServiceSpec): Promise<void> {
    const next = await this.#options.make(spec);
    this.#changing = undefined;
    if (this.#isClosed) return void next.drain({ ms: 0 });
    const former = this.#present;
    this.#present = next;
    this.#mode = servedMode(spec);
    this.#options.onServed(spec);
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
