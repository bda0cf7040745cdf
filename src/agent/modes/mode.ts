import type { Socket } from 'node:net';
import type { Drain } from '../../net/splice.js';
import type { ServiceSpec } from '../spec.js';

/** What every mode does with a lease's visitors. One file, or one folder, a mode. */
export interface ModeHandler {
  /**
   * Takes the visitor's connection and owns it from here on. In the modes stream and http it is a TLSSocket
   * whose TLS ended in this process; in mode tcp it is the data connection itself.
   */
  visit(socket: Socket, visitor: VisitorInfo): void;
  /**
   * New settings for visitors from now on. Those connected keep what they have; where the target is another, their
   * connections retire.
   */
  update(spec: ServiceSpec): void;
  /**
   * Lets visitors finish, then closes what is left. No visit comes after it. With `retires`, it resolves once the last has
   * left; another drain may come meanwhile.
   */
  drain(drain: Drain): Promise<void>;
  traffic(): Traffic;
}

export interface VisitorInfo {
  /** Address the relay saw. */
  readonly remote: { readonly address: string; readonly port: number };
  /** Address and public port that the visitor connected to, as far as the agent can tell. */
  readonly local: { readonly address: string; readonly port: number };
}

export interface Traffic {
  /** Connected now. */
  readonly visitors: number;
  /** Those of them who are still on a target or a way of serving that was replaced; absent where none are. */
  readonly retiring?: number;
  /** Bytes from visitors to the local service, since the handler was made. */
  readonly bytesIn: number;
  /** Bytes from the local service to visitors. */
  readonly bytesOut: number;
  /** In mode http: requests so far, and the status that was answered last. */
  readonly requests?: number;
  readonly lastStatus?: number;
  /** Datagrams that went no further, by reason. */
  readonly dropped?: Readonly<Record<string, number>>;
}

export const NO_TRAFFIC: Traffic = { visitors: 0, bytesIn: 0, bytesOut: 0 };

export function sumTraffic(a: Traffic, b: Traffic): Traffic {
  return {
    visitors: a.visitors + b.visitors,
    ...retiringIn((a.retiring ?? 0) + (b.retiring ?? 0)),
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
    ...requestsIn((a.requests ?? 0) + (b.requests ?? 0), b.lastStatus ?? a.lastStatus),
  };
}

/** Absent where there were none. */
export function requestsIn(
  requests: number,
  lastStatus: number | undefined,
): Pick<Traffic, 'requests' | 'lastStatus'> {
  return { ...(requests > 0 && { requests }), ...(lastStatus !== undefined && { lastStatus }) };
}

export function retiringIn(retiring: number): Pick<Traffic, 'retiring'> {
  return retiring > 0 ? { retiring } : {};
}
