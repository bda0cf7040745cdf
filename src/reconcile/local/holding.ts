import { stat } from 'node:fs/promises';
import type { HeldEvent } from '../../agent/hold/held-events.js';
import { HeldRequests } from '../../agent/hold/held-requests.js';
import type { HoldLimits } from '../../agent/hold/limits.js';
import type { ServiceSpec } from '../../agent/spec.js';
import type { AgentStatus } from '../events.js';
import type { Action } from '../plan.js';
import type { Desired } from '../../config/desired.js';
import type { Identity } from '../../identity/identity.js';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import { formatTarget } from '../../net/target/target.js';

export interface HoldingOptions {
  /** Folder of the held requests of all identities (lib/paths). Default: no request is held. */
  readonly folder: string | undefined;
  /** Limits that differ from the defaults. */
  readonly limits: Partial<HoldLimits> | undefined;
  readonly identity: Identity;
  /** Path of portal.yaml; null without one. */
  readonly file: string | null;
  /** Why a target of `service` is unreachable, by target as text. */
  readonly errorsOf: (service: string) => Readonly<Record<string, string>>;
  readonly emit: (event: HeldEvent) => void;
  /** Called when requests cannot be held although the configuration asks for it. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
}

/** Timeout for reading what an earlier run holds. A slow disk must not delay services. */
const OPEN_MS = 2_000;

/** Owns the held requests of an agent. Reads those of earlier runs once a service has `hold`, or if there are some. */
export class Holding {
  readonly held: HeldRequests;
  readonly #options: HoldingOptions;
  #services: readonly ServiceSpec[] = [];
  #opening: Promise<void> | undefined;
  #lastWarning = '';

  constructor(options: HoldingOptions) {
    this.#options = options;
    const { emit, log, limits = {} } = options;
    this.held = new HeldRequests({
      onEvent: (event) => {
        if (event.event === 'held') this.#lastWarning = '';
        emit(event);
      },
      warn: (message) => this.#warn(message),
      mayBeUp: (service, route) => this.#mayBeUp(service, route),
      log,
      limits,
    });
  }

  /** Resolves once requests can be held, with a timeout. */
  async follow({ services }: Pick<Desired, 'services'>): Promise<void> {
    this.#services = services;
    if (this.held.isOpen) return;
    const { folder, file } = this.#options;
    const isWanted = services.some(({ hold, routes }) => hold ?? routes.some((route) => route.hold));
    if (folder === undefined || file === null) {
      if (isWanted)
        this.#warn('`hold` needs a file: without one, nobody could deliver the requests after a restart');
      return;
    }
    if (!isWanted && !(await exists(folder))) return;
    this.#opening ??= this.#open(folder, file).finally(() => (this.#opening = undefined));
    await within(this.#opening, OPEN_MS, 'reading held requests').catch(() => undefined);
  }

  /** The routes with held requests; absent if empty. */
  get status(): Pick<AgentStatus, 'held'> {
    const held = this.held.status();
    return held.length > 0 ? { held } : {};
  }

  /** `actions`, with the held requests that have no route in `services`. */
  marked(actions: readonly Action[], services: readonly ServiceSpec[]): Action[] {
    const without = this.held.without((service) =>
      routesOf(services.find((spec) => spec.service === service)),
    );
    return actions.map((action) => {
      const waiting = without.get(action.service);
      without.delete(action.service);
      return waiting === undefined ? action : { ...action, heldWithoutRoute: waiting };
    });
  }

  /** A target of `service` may be back. */
  targetUp(service: string): void {
    this.held.retry(service);
  }

  close(ms: number): Promise<void> {
    return this.held.close(ms);
  }

  async #open(folder: string, file: string): Promise<void> {
    try {
      // Loaded on demand: most configurations hold nothing.
      const { HeldStore, removeAbandoned } = await import('../../agent/hold/store.js');
      await removeAbandoned(folder, Date.now());
      await this.held.open(new HeldStore(folder, this.#options.identity, file));
    } catch (error) {
      this.#warn(`requests cannot be held now: ${asPortalError(error).message}`);
    }
  }

  #warn(message: string): void {
    if (message === this.#lastWarning) return;
    this.#lastWarning = message;
    this.#options.warn(message);
  }

  #mayBeUp(service: string, route: string): boolean {
    const spec = this.#services.find((each) => each.service === service);
    const target =
      spec && (spec.routes.find(({ prefix }) => nameOf(prefix) === route)?.target ?? spec.target);
    return target === undefined || !(formatTarget(target) in this.#options.errorsOf(service));
  }
}

function routesOf(spec: ServiceSpec | undefined): ReadonlySet<string> {
  if (!spec) return new Set();
  return new Set(spec.routes.length > 0 ? spec.routes.map(({ prefix }) => nameOf(prefix)) : ['/']);
}

const nameOf = (prefix: string): string => prefix.replace(/\/+$/, '') || '/';

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
