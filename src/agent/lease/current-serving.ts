import type { Socket } from 'node:net';
import type { Logger } from '../../lib/logger.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { Drain } from '../../net/splice/splice.js';
import type { VisitorInfo } from '../modes/mode.js';
import { openServing, type Serving, type ServingOptions } from '../serving/serving.js';
import { servedMode, type ServiceSpec } from '../spec.js';
import type { Opened } from './held-lease.js';

export interface CurrentServingOptions extends Omit<ServingOptions, 'spec' | 'opened' | 'signal' | 'log'> {
  /** The settings now. They may change while a serving opens. */
  readonly spec: () => ServiceSpec;
  readonly log: () => Logger;
  /** Default: the serving for the kind of the lease. */
  readonly open?: (options: ServingOptions) => Promise<Serving>;
}

/** Owns what serves a lease. It survives reconnects, so visitors and counters do too. Another hostname needs a new one. */
export class CurrentServing {
  readonly #options: CurrentServingOptions;
  readonly #ending = new AbortController();
  #opened: { readonly hostname: string; readonly ready: Promise<Serving> } | undefined;
  #now: Serving | undefined;

  constructor(options: CurrentServingOptions) {
    this.#options = options;
  }

  /** Undefined until the first one is open. */
  get now(): Serving | undefined {
    return this.#now;
  }

  /** Where visitors reach it, in modes with a hostname. */
  get hostname(): string | undefined {
    return this.#opened?.hostname;
  }

  /** The serving for what the relay opened: the current one if the hostname is the same. */
  async open(opened: Opened): Promise<Serving> {
    const { hostname } = opened;
    if (this.#opened?.hostname === hostname) {
      const present = await this.#opened.ready.catch(() => undefined);
      if (present) return present;
    }
    const former = this.#now;
    const { spec: specNow, log, open = openServing, ...options } = this.#options;
    const spec = specNow();
    const ready = open({
      ...options,
      spec,
      opened,
      // Ignored before it serves. The decision until then is reported below.
      onServedAs: () => this.#now && options.onServedAs(),
      signal: this.#ending.signal,
      log: log(),
    });
    this.#opened = { hostname, ready };
    const serving = await ready;
    if (this.#ending.signal.aborted) await serving.close({ ms: 0 });
    this.#now = serving;
    // Another lease may already have detected the target's protocol.
    if (servedMode(spec) === 'auto' && serving.servedAs() !== 'undecided') options.onServedAs();
    // The settings changed while the certificate was prepared.
    if (spec !== specNow()) serving.update(specNow());
    void former?.close({ ms: 0 });
    return serving;
  }

  /** Passes a visitor on, once the serving is open. Without one, resets the connection. */
  visit(socket: Socket, visitor: VisitorInfo): void {
    if (!this.#opened) return resetSocket(socket);
    this.#opened.ready.then(
      (serving) => serving.visit(socket, visitor),
      () => resetSocket(socket),
    );
  }

  /** Disconnects all visitors now. The next `open` opens a new serving. */
  drop(): void {
    const former = this.#now;
    this.#opened = this.#now = undefined;
    void former?.close({ ms: 0 });
  }

  /** The lease closes: stops preparations. Connected visitors stay. */
  end(): void {
    this.#ending.abort();
  }

  /** Lets visitors finish within `drain`. */
  async close(drain: Drain): Promise<void> {
    await this.#now?.close(drain);
  }
}
