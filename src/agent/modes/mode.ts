import type { Socket } from 'node:net';
import type { Drain } from '../../net/splice/splice.js';
import type { ServiceSpec } from '../spec.js';

/** What every mode does with a lease's visitors. Each mode has one file or folder. */
export interface ModeHandler {
  /**
   * Takes ownership of the visitor's connection. In modes stream and http it is a TLSSocket whose TLS this process
   * terminated. In mode tcp it is the data connection itself.
   */
  visit(socket: Socket, visitor: VisitorInfo): void;
  /**
   * Applies new settings to later visitors. Connected visitors keep theirs. If the target changed, their connections retire.
   */
  update(spec: ServiceSpec): void;
  /**
   * Lets visitors finish, then closes the rest. No visit follows. With `retires`, it resolves once the last visitor has left;
   * another drain may be called meanwhile.
   */
  drain(drain: Drain): Promise<void>;
  traffic(): Traffic;
}

export interface VisitorInfo {
  /** The address that the relay saw. */
  readonly remote: { readonly address: string; readonly port: number };
  /** The address and public port that the visitor connected to, as far as known. */
  readonly local: { readonly address: string; readonly port: number };
}

export interface Traffic {
  /** Connected now. */
  readonly visitors: number;
  /** Visitors who still use a previous target or mode; absent if 0. */
  readonly retiring?: number;
  /** Bytes from visitors to the local service, since the handler was created. */
  readonly bytesIn: number;
  /** Bytes from the target to visitors. */
  readonly bytesOut: number;
  /** In mode http: requests so far, and the status of the last response. */
  readonly requests?: number;
  readonly lastStatus?: number;
  /** Dropped datagrams by reason. */
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

/** Empty without requests. */
export function requestsIn(
  requests: number,
  lastStatus: number | undefined,
): Pick<Traffic, 'requests' | 'lastStatus'> {
  return { ...(requests > 0 && { requests }), ...(lastStatus !== undefined && { lastStatus }) };
}

export function retiringIn(retiring: number): Pick<Traffic, 'retiring'> {
  return retiring > 0 ? { retiring } : {};
}
