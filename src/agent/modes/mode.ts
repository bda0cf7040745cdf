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
  /** New settings for visitors from now on; those connected keep what they have. */
  update(spec: ServiceSpec): void;
  /** Lets visitors finish, then closes what is left. No visit comes after it. */
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
  /** Bytes from visitors to the local service, since the handler was made. */
  readonly bytesIn: number;
  /** Bytes from the local service to visitors. */
  readonly bytesOut: number;
  /** Datagrams that went no further, by reason. */
  readonly dropped?: Readonly<Record<string, number>>;
}

export const NO_TRAFFIC: Traffic = { visitors: 0, bytesIn: 0, bytesOut: 0 };

export function sumTraffic(a: Traffic, b: Traffic): Traffic {
  return {
    visitors: a.visitors + b.visitors,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
  };
}
