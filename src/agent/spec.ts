import type { TlsSpec } from '../certificates/spec.js';
import type { Target } from '../net/target.js';

export type { TlsSpec } from '../certificates/spec.js';

/** What the agent is asked to run: plain data, comparable field by field, free of anything read from disk. */

export type Mode = 'stream' | 'http' | 'tcp' | 'udp';
export type Carrier = 'raw' | 'tls' | 'ws';

/** A relay to hold a session with. */
export type RelaySpec =
  | {
      readonly kind: 'embedded';
      /** 0: any free port. */
      readonly port: number;
      /** Nobody asked for this very port: if it is taken, any other will do. */
      readonly orAnyPort?: true;
    }
  | { readonly kind: 'url'; readonly url: string; readonly caFile?: string };

/** One service of the file, with every default filled in. */
export interface ServiceSpec {
  /** The key under `services:`. */
  readonly service: string;
  /** One DNS label: the name asked from each relay. */
  readonly name: string;
  readonly mode: Mode;
  readonly target: Target;
  /** Protocols offered to the visitor, best first (RFC 7301). */
  readonly alpn: readonly string[];
  readonly carrier: Carrier;
  readonly tls: TlsSpec;
  readonly metadata: Readonly<Record<string, string>>;
  /** Relays this service is published on: the pool, unless it names its own. */
  readonly relays: readonly RelaySpec[];
}

/** A relay's key in maps and events: its origin, or `embedded:PORT` with the port as configured. */
export function relayKey(relay: RelaySpec): string {
  return relay.kind === 'embedded' ? `embedded:${relay.port}` : new URL(relay.url).origin;
}
