import type { Mode, ServedAs } from '../../src/agent/spec.js';
import type { LocalCa } from '../../src/certificates/local-ca.js';
import type { PublicAddress } from '../../src/agent/status.js';

/** What the suite needs to know of a mode, to hold it to what every mode promises. One adapter a mode. */
export interface ModeUnderTest {
  readonly mode: Mode;
  /** Which targets, where a mode is held to it with more than one kind. */
  readonly targets?: string;
  /** What the target decides a service of mode auto to be. */
  readonly decides?: ServedAs;
  /** A local service that says `name` to whoever asks, and echoes what is said in a conversation. */
  start(name: string, port?: number): Promise<LocalService>;
  /** A visitor from outside asks once. Rejects, or resolves with what the mode says of it, when it is refused. */
  ask(place: Place): Promise<string>;
  /** A visitor begins something that goes on. */
  converse(place: Place): Promise<Conversation>;
  /** What `ask` resolves or rejects with while the local service is down. */
  readonly whenDown: RegExp;
  /** What `ask` rejects with once the service is no longer published. */
  readonly whenGone: RegExp;
  /** Promises that the mode cannot keep, each with the reason. */
  readonly exceptions: Readonly<Partial<Record<Promised, string>>>;
}

export type Promised =
  | 'opens'
  | 'edits in place'
  | 'keeps who is connected when the target changes'
  | 'tells that the service is down, and serves again when it is back'
  | 'comes back to the same address after a restart of the relay'
  | 'keeps who is connected when the control channel is lost'
  | 'is gone once its service is taken out of the file'
  | 'moves to another name without a gap'
  | 'lets visitors finish when the agent stops'
  | 'cuts off who does not finish in time';

/** Where a visitor goes. */
export interface Place {
  readonly address: PublicAddress;
  readonly ca: LocalCa;
}

export interface LocalService {
  readonly port: number;
  stop(): Promise<void>;
}

export interface Conversation {
  /** Says `text`; resolves with the local service's name and the echo, as `name:text`. */
  readonly say: (text: string) => Promise<string>;
  /** Ends it in an orderly way. */
  readonly end: () => Promise<void>;
  /** Resolves when the other side has ended it. */
  readonly ended: Promise<unknown>;
}
