import type { ErrorCode } from '../lib/errors.js';
import type { LeaseKind } from './kind.js';
import type { FromAgent } from './messages.js';

/** What a relay shows to signed-in clients (docs/reference/protocol.md): plain data, in JSON. Times are ISO 8601. */

type ReportedPhase = NonNullable<FromAgent<'report'>['services']>[number]['phase'];

export interface ServiceView {
  /** The key under `services:`, if the agent reported it. */
  readonly service?: string;
  /** The name on the relay, its kind, and its public address; undefined while the service has no lease here, or no port yet. */
  readonly name?: string;
  readonly kind?: LeaseKind;
  readonly address?: string;
  /** The metadata of its lease, from its owner. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** As reported by its agent. `open` without a report; `reconnecting` while the agent is disconnected and may return. */
  readonly phase: ReportedPhase | 'open' | 'reconnecting';
  /** The error that caused this phase. */
  readonly code?: string;
  /** Set if several agents may serve the name: whether it gets new visitors now, and why not. */
  readonly replica?: 'active' | 'standby' | 'unhealthy';
  /** Current visitors, and bytes since the lease opened: from visitors and to them. */
  readonly visitors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface AgentView {
  /** Id of the agent process, the same at every relay; undefined after it disconnected. */
  readonly id?: string;
  /** The identity that it belongs to. */
  readonly identity: string;
  /** Whether it belongs to the identity that asks, which may then disconnect it. */
  readonly own: boolean;
  readonly machine?: string;
  readonly version?: string;
  /** `reconnecting`: its leases wait for it; `disconnected`: it was connected earlier. */
  readonly state: 'connected' | 'reconnecting' | 'disconnected';
  /** When it connected. */
  readonly since?: string;
  readonly lastSeen: string;
  /** Its IP address; only for its owner. */
  readonly from?: string;
  readonly services: readonly ServiceView[];
}

export interface NameView {
  readonly name: string;
  /** Public ports reserved with the name. */
  readonly ports: { readonly tcp?: number; readonly udp?: number };
  /** When the reservation expires without further use. */
  readonly reservedUntil: string;
  /** Whether a lease uses it: no, yes with an agent, or yes in the agent's grace period. */
  readonly use: 'free' | 'served' | 'reconnecting';
  /** Id of the agent that uses it. */
  readonly agent?: string;
}

/** The response to `GET /v1/agents`. */
export interface AgentsResponse {
  readonly relay: string;
  readonly identity: string;
  /** The relay's time. */
  readonly now: string;
  readonly agents: readonly AgentView[];
  readonly names: readonly NameView[];
  /** Set if the response is incomplete: there is too much, or a node did not respond. */
  readonly truncated?: true;
}

export interface SignInChallenge {
  readonly nonce: string;
  /** The EIP-4361 text to sign. */
  readonly message: string;
  /** The relay's own key, proven over the request's `relayNonce`. */
  readonly relay: { readonly address: string; readonly signature: string };
}

export interface SignInResponse {
  readonly identity: string;
  readonly token: string;
  readonly expiresAt: string;
}

export interface LinkResponse {
  /** Contains the code after `#`, which browsers never send. */
  readonly url: string;
  readonly expiresAt: string;
}

/** The response to any of these requests if it fails. */
export interface ErrorResponse {
  readonly code: ErrorCode;
  readonly message: string;
}
