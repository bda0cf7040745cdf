import type { Mode, ServedAs } from '../../src/agent/spec.js';
import type { LocalCa } from '../../src/certificates/local-ca.js';
import type { PublicAddress } from '../../src/agent/status.js';

/** What the suite needs to know about a mode, to test the promises of every mode. One adapter per mode. */
export interface ModeUnderTest {
  readonly mode: Mode;
  /** The kind of targets, if the mode is tested with more than one. */
  readonly targets?: string;
  /** The mode that `auto` chooses for this target. */
  readonly decides?: ServedAs;
  /** A local service that answers every question with `name`, and echoes conversations. */
  start(name: string, port?: number): Promise<LocalService>;
  /** A visitor sends one question. If the mode rejects it, rejects or resolves with the mode's rejection. */
  ask(place: Place): Promise<string>;
  /** A visitor starts a long conversation. */
  converse(place: Place): Promise<Conversation>;
  /** The outcome of `ask` while the local service is down. */
  readonly whenDown: RegExp;
  /** The error of `ask` after the service is no longer published. */
  readonly whenGone: RegExp;
  /** Promises that the mode cannot keep, each with the reason. */
  readonly exceptions: Readonly<Partial<Record<Promised, string>>>;
}

export type Promised =
  | 'opens'
  | 'edits in place'
  | 'keeps visitors connected when the target changes'
  | 'reports that the service is down, and serves again when it recovers'
  | 'returns to the same address after the relay restarts'
  | 'keeps visitors connected when the control channel is lost'
  | 'disappears after its service is removed from the file'
  | 'moves to another name without a gap'
  | 'lets visitors finish when the agent stops'
  | 'disconnects visitors who do not finish in time';

/** The address that visitors use. */
export interface Place {
  readonly address: PublicAddress;
  readonly ca: LocalCa;
}

export interface LocalService {
  readonly port: number;
  stop(): Promise<void>;
}

export interface Conversation {
  /** Sends `text`. Resolves with the local service's name and the echo, as `name:text`. */
  readonly say: (text: string) => Promise<string>;
  /** Ends the conversation in order. */
  readonly end: () => Promise<void>;
  /** Resolves when the other side has ended the conversation. */
  readonly ended: Promise<unknown>;
}
