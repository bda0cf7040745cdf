import type { ErrorCode } from '../lib/errors.js';
import type { LeaseKind } from './kind.js';
import type { FromAgent } from './messages.js';

/** What a relay tells who signed in there (docs/reference/protocol.md): plain data, in JSON. Times are ISO. */

type ReportedPhase = NonNullable<FromAgent<'report'>['services']>[number]['phase'];

export interface ServiceView {
  /** The key under `services:`, where its agent told it. */
  readonly service?: string;
  /** The name on the relay, its kind, and where visitors find it; absent while it has no lease here. */
  readonly name?: string;
  readonly kind?: LeaseKind;
  readonly address?: string;
  /** Of its lease, as its owner wrote it. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** As its agent says; `open` where it says nothing, `away` while it has its grace to come back. */
  readonly phase: ReportedPhase | 'open' | 'away';
  /** The error that it is in this phase for. */
  readonly code?: string;
  /** Visitors now, and bytes since the lease was opened: from visitors, and to them. */
  readonly visitors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface AgentView {
  /** Of the agent's process, the same at every relay; absent once it is gone. */
  readonly id?: string;
  /** Whose it is. */
  readonly identity: string;
  /** It is of the identity that asks, which may disconnect it. */
  readonly own: boolean;
  readonly machine?: string;
  readonly version?: string;
  /** `away`: its leases wait for it; `gone`: it was here. */
  readonly state: 'connected' | 'away' | 'gone';
  /** Since when it is connected. */
  readonly since?: string;
  readonly lastSeen: string;
  /** IP address that it comes from; to its owner alone. */
  readonly from?: string;
  readonly services: readonly ServiceView[];
}

export interface NameView {
  readonly name: string;
  /** Public ports that are kept with it. */
  readonly ports: { readonly tcp?: number; readonly udp?: number };
  /** Until when it is kept, if nothing uses it from now on. */
  readonly reservedUntil: string;
  /** Whether a lease has it now: no, with an agent that serves it, or in that one's grace. */
  readonly use: 'free' | 'served' | 'away';
  /** Id of the agent that has it. */
  readonly agent?: string;
}

/** The answer to `GET /v1/agents`. */
export interface AgentsAnswer {
  readonly relay: string;
  readonly identity: string;
  /** By the relay's clock. */
  readonly now: string;
  readonly agents: readonly AgentView[];
  readonly names: readonly NameView[];
  /** There is more than one answer holds. */
  readonly truncated?: true;
}

export interface ChallengeAnswer {
  readonly nonce: string;
  /** The EIP-4361 text to sign. */
  readonly message: string;
  /** The relay's own key, proven over the request's `relayNonce`. */
  readonly relay: { readonly address: string; readonly signature: string };
}

export interface SignInAnswer {
  readonly identity: string;
  readonly token: string;
  readonly expiresAt: string;
}

export interface LinkAnswer {
  /** With the code behind `#`, which browsers send to nobody. */
  readonly url: string;
  readonly expiresAt: string;
}

/** In place of any of them. */
export interface ErrorAnswer {
  readonly code: ErrorCode;
  readonly message: string;
}
