import type { Socket } from 'node:net';
import type { Drain } from '../../net/splice.js';
import type { ServiceSpec } from '../spec.js';

/** What every mode does with a lease's visitors. One file a mode. */
export interface ModeHandler {
  /** Takes the visitor's connection and owns it from here on. */
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
}

export interface Traffic {
  /** Connected now. */
  readonly visitors: number;
  /** Bytes from visitors to the local service, since the handler was made. */
  readonly bytesIn: number;
  /** Bytes from the local service to visitors. */
  readonly bytesOut: number;
}
