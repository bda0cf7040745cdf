import { relayKey, type RelaySpec } from '../../agent/spec.js';
import type { RelayStatus } from '../../agent/status.js';
import type { Desired } from '../../config/desired.js';
import { portInUse, type Notice, type PortHolder } from '../notices.js';

export type EmbeddedSpec = Extract<RelaySpec, { kind: 'embedded' }>;

/** A relay in this process. The CLI starts it, because agent and relay never import each other. */
export interface EmbeddedRelay {
  readonly url: string;
  /** IP address that it listens on. */
  readonly address: string;
  /** Path of the CA file that its certificate chains to. */
  readonly caFile: string;
  close(): Promise<void>;
}

interface Running {
  /** The spec with its actual port, which identifies the relay everywhere. */
  readonly spec: EmbeddedSpec;
  readonly relay: Promise<EmbeddedRelay>;
}

export interface EmbeddedRelaysOptions {
  readonly start: (spec: EmbeddedSpec) => Promise<EmbeddedRelay>;
  readonly notify: (notice: Notice) => void;
  readonly portHolder?: PortHolder | undefined;
}

/**
 * The relays inside this process. They start before planning, so that each is known by its actual port and not by the
 * configured one.
 */
export class EmbeddedRelays {
  readonly #options: EmbeddedRelaysOptions;
  /** By the key from the configuration. */
  readonly #running = new Map<string, Running>();

  constructor(options: EmbeddedRelaysOptions) {
    this.#options = options;
  }

  /** Starts the embedded relays of `desired`. If one fails to start, its session reports the error. */
  async start({ relays, services }: Desired): Promise<void> {
    const asked = [...relays, ...services.flatMap((service) => service.relays)].filter(isEmbedded);
    for (const spec of asked) await this.#start(spec).catch(() => undefined);
  }

  /** `desired` with the actual ports of its relays. */
  placed(desired: Desired): Desired {
    if (this.#running.size === 0) return desired;
    return withEmbedded(desired, (spec) => this.#running.get(relayKey(spec))?.spec ?? spec);
  }

  /** The relay of a spec that `placed` returned. Starts it now if the first start failed. */
  async take(spec: EmbeddedSpec): Promise<EmbeddedRelay> {
    const key = relayKey(spec);
    const placed = [...this.#running.values()].find((running) => relayKey(running.spec) === key);
    if (placed) return placed.relay;
    // Its session already uses this key.
    const relay = this.#open(spec);
    this.#running.set(key, { spec, relay });
    relay.catch(() => this.#running.delete(key));
    return relay;
  }

  /** Drops a relay that failed to start, so that the next request starts a new one. */
  forget(spec: EmbeddedSpec): void {
    for (const [key, running] of this.#running)
      if (relayKey(running.spec) === relayKey(spec)) this.#running.delete(key);
  }

  /** Closes relays that no session uses. */
  async close(): Promise<void> {
    const left = [...this.#running.values()];
    this.#running.clear();
    for (const { relay } of left) await relay.then((each) => each.close()).catch(() => undefined);
  }

  async #start(spec: EmbeddedSpec): Promise<void> {
    const key = relayKey(spec);
    if (this.#running.has(key)) return;
    const relay = await this.#open(spec);
    const placed = { kind: 'embedded', port: portOf(relay) } as const;
    this.#running.set(key, { spec: placed, relay: Promise.resolve(relay) });
  }

  async #open(spec: EmbeddedSpec): Promise<EmbeddedRelay> {
    const relay = await this.#options.start(spec);
    const port = portOf(relay);
    if (spec.port !== 0 && port !== spec.port) {
      const holder = await this.#options.portHolder?.(spec.port).catch(() => undefined);
      this.#options.notify(
        portInUse(
          { askedPort: spec.port, port, holder },
          (inUse) =>
            `${inUse}, so the embedded relay uses ${port} this time; to choose a port, set relays: { embedded: { port: 8444 } }`,
        ),
      );
    }
    return relay;
  }
}

/** `desired` with another spec for each embedded relay. */
function withEmbedded(desired: Desired, change: (spec: EmbeddedSpec) => EmbeddedSpec): Desired {
  const place = (spec: RelaySpec): RelaySpec => (isEmbedded(spec) ? change(spec) : spec);
  return {
    ...desired,
    relays: desired.relays.map(place),
    services: desired.services.map((service) => ({ ...service, relays: service.relays.map(place) })),
  };
}

/** `desired` as the agent with these relays runs it: an embedded relay's port may differ from the configured one. */
export function withActualPort(desired: Desired, relays: readonly RelayStatus[]): Desired {
  const port = relays.map(({ relay }) => /^embedded:(\d+)$/.exec(relay)?.[1]).find(Boolean);
  return port === undefined
    ? desired
    : withEmbedded(desired, () => ({ kind: 'embedded', port: Number(port) }));
}

const isEmbedded = (spec: RelaySpec): spec is EmbeddedSpec => spec.kind === 'embedded';
const portOf = ({ url }: EmbeddedRelay): number => Number(new URL(url).port);
