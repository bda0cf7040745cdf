import type { LockEntries } from '../../config/files/lock-file.js';
import type { SignedDescriptor } from '../../protocol/descriptor.js';
import type { Names } from './names.js';
import type { Subject } from './report.js';

/** The facts about a relay that checks of services use. */
export interface RelayFacts {
  readonly key: string;
  /** The domain below which the relay assigns names. */
  readonly domain: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly isEmbedded: boolean;
  /** Set for the first relay of a chain, which must not learn this machine's address. */
  readonly inChain?: boolean;
}

export interface RelayFindings {
  readonly subject: Subject;
  readonly facts: RelayFacts;
  /** Undefined if the relay did not send a valid one. */
  readonly descriptor?: SignedDescriptor;
}

export interface RelayContext {
  readonly names: Names;
  readonly agentRuns: boolean;
  /** Entries of portal.lock; undefined if the file has none. */
  readonly locked: LockEntries | undefined;
}
