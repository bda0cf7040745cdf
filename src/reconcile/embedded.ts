import { relayKey, type RelaySpec } from '../agent/spec.js';
import type { RelayStatus } from '../agent/status.js';
import type { Desired } from '../config/desired.js';
import type { Notice } from './notices.js';

export type EmbeddedSpec = Extract<RelaySpec, { kind: 'embedded' }>;

/** A relay running in this process; started by the CLI, because agent and relay never import each other. */
export interface EmbeddedRelay {
  readonly url: string;
  /** IP address at which it listens. */
  readonly address: string;
  /** Path of the CA file that its certificate chains to. */
  readonly caFile: string;
  close(): Promise<void>;
}

interface Running {
  /** The spec with the port that it has: what everybody knows the relay by. */
  readonly spec: EmbeddedSpec;
  readonly relay: Promise<EmbeddedRelay>;
}

export interface EmbeddedRelaysOptions {
  readonly start: (spec: EmbeddedSpec) => Promise<EmbeddedRelay>;
  readonly notify: (notice: Notice) => void;
}

/**
 * The relays inside this process. They start before anything is planned, so that each goes by the port that it has
 * rather than by the one that the configuration asks for.
 */
export class EmbeddedRelays {
  readonly #options: EmbeddedRelaysOptions;
  /** By the key that the configuration gives them. */
  readonly #running = new Map<string, Running>();

  constructor(options: EmbeddedRelaysOptions) {
    this.#options = options;
  }

  /** Starts what `desired` asks for. One that does not start is left to its session, which tells why. */
  async start({ relays, services }: Desired): Promise<void> {
    const asked = [...relays, ...services.flatMap((service) => service.relays)].filter(isEmbedded);
    for (const spec of asked) await this.#start(spec).catch(() => undefined);
  }

  /** `desired` with the ports that its relays have. */
  placed(desired: Desired): Desired {
    if (this.#running.size === 0) return desired;
    return withEmbedded(desired, (spec) => this.#running.get(relayKey(spec))?.spec ?? spec);
  }

  /** The relay of a spec as `placed` gives it; started now, where that was not possible before. */
  async take(spec: EmbeddedSpec): Promise<EmbeddedRelay> {
    const key = relayKey(spec);
    const placed = [...this.#running.values()].find((running) => relayKey(running.spec) === key);
    if (placed) return placed.relay;
    // Its session goes by this key already.
    const relay = this.#open(spec);
    this.#running.set(key, { spec, relay });
    relay.catch(() => this.#running.delete(key));
    return relay;
  }

  /** The next one who asks for this relay gets another. */
  forget(spec: EmbeddedSpec): void {
    for (const [key, running] of this.#running)
      if (relayKey(running.spec) === relayKey(spec)) this.#running.delete(key);
  }

  /** Closes those that nobody has taken. */
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
    if (spec.port !== 0 && port !== spec.port)
      this.#options.notify({
        kind: 'port_in_use',
        message: `port ${spec.port} is in use, using ${port}`,
        askedPort: spec.port,
        port,
      });
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

/** `desired` as the agent with these relays runs it: its embedded relay may have another port than it asks for. */
export function atRealPort(desired: Desired, relays: readonly RelayStatus[]): Desired {
  const port = relays.map(({ relay }) => /^embedded:(\d+)$/.exec(relay)?.[1]).find(Boolean);
  return port === undefined
    ? desired
    : withEmbedded(desired, () => ({ kind: 'embedded', port: Number(port) }));
}

const isEmbedded = (spec: RelaySpec): spec is EmbeddedSpec => spec.kind === 'embedded';
const portOf = ({ url }: EmbeddedRelay): number => Number(new URL(url).port);
