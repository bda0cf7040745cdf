import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Identity } from '../../identity/identity.js';
import type { Logger } from '../../lib/logger.js';
import { readAssets, type Asset } from '../../lib/page-files.js';
import type { AccessLists } from '../protection/access-lists.js';
import type { LeaseRegistry } from '../leases/leases.js';
import { ALONE, type Cluster } from '../nodes/nodes.js';
import type { RelayLimits } from '../limits.js';
import type { Quotas } from '../protection/quotas.js';
import type { Reservations } from '../names/reservations.js';
import type { Store } from '../store/store.js';
import type { Turns } from '../protection/turns.js';
import { Agents } from './agents.js';
import { AgentsApi } from './api.js';
import { AgentsEverywhere } from './everywhere.js';
import { SignIns } from './sign-in.js';
import { SignInsEverywhere } from './sign-ins-everywhere.js';
import type { ViewPlace } from './view.js';

export interface AgentsSurfaceOptions {
  /** Folder of the built page. */
  readonly webDir?: string | undefined;
  readonly leases: LeaseRegistry;
  readonly reservations: Reservations;
  readonly store: Store;
  readonly quotas: Quotas;
  readonly denied: AccessLists;
  readonly limits: RelayLimits;
  /** The relay's own key. */
  readonly identity: Identity;
  readonly turns: Turns;
  readonly healthy: () => boolean;
  /** Undefined: this is the only node of the relay. */
  readonly cluster: Cluster | undefined;
  readonly log: Logger;
}

/** The relay's API and agents page. */
export class AgentsSurface {
  readonly registry: Agents;
  readonly #options: AgentsSurfaceOptions;
  readonly #page: ReadonlyMap<string, Asset> | undefined;
  readonly #everywhere: AgentsEverywhere;
  #signIns: SignIns | undefined;
  #api: AgentsApi | undefined;

  private constructor(options: AgentsSurfaceOptions, page: ReadonlyMap<string, Asset> | undefined) {
    this.#options = options;
    this.#page = page;
    const { leases, store, limits, log, cluster } = options;
    const { nodes } = cluster ?? { nodes: ALONE };
    this.registry = new Agents({ ...limits, leases, store, log });
    this.#everywhere = new AgentsEverywhere({ agents: this.registry, leases, nodes, log });
  }

  static async open(options: AgentsSurfaceOptions): Promise<AgentsSurface> {
    const { webDir, log } = options;
    // A relay without the page still serves visitors.
    const page =
      webDir === undefined
        ? undefined
        : await readAssets(webDir).catch((error: unknown) => {
            log.warn({ err: error, folder: webDir }, 'cannot load the agents page');
            return undefined;
          });
    const surface = new AgentsSurface(options, page);
    await surface.#everywhere.start();
    return surface;
  }

  /** Call when the relay listens: starts responding. */
  start({ authority, ...place }: ViewPlace & { readonly authority: string }): void {
    const { url } = place;
    this.#signIns = new SignIns({ ...this.#options, authority, url });
    const { limits, cluster, ...parts } = this.#options;
    this.#api = new AgentsApi({
      ...parts,
      reservationMs: limits.reservationMs,
      observed: (identity) => this.#everywhere.observe(identity),
      everywhere: this.#everywhere,
      signIns: this.#signIns,
      signedIn: new SignInsEverywhere(this.#signIns, cluster),
      place,
      page: this.#page,
    });
  }

  serve(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    return this.#api?.handle(request, response, path) ?? false;
  }

  stats() {
    return { signedIn: this.#signIns?.size ?? 0, signInsRefused: this.#signIns?.refused.counts() ?? {} };
  }
}
