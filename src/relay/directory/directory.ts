import { PortalError } from '../../lib/errors.js';
import { otherName } from '../leases/other-name.js';
import type { LeaseRecord } from './record.js';

/** What a node asks for. The directory adds the node and the epoch. */
export type LeaseClaim = Omit<LeaseRecord, 'node' | 'epoch'>;

/** A place has a new record, which ends those that it displaces, or none after its release. */
export interface LeaseChange {
  readonly place: string;
  /** The epoch of the new record, or of the released one. */
  readonly epoch: number;
  readonly record: LeaseRecord | undefined;
}

/**
 * Which node serves which place. All nodes of a relay share one directory, and each has its own view of it. An engine is
 * a file next to this one that passes the tests in `contract.ts`.
 *
 * The calls of one node take effect in their order. Epochs of a place only rise, even across releases.
 */
export interface LeaseDirectory {
  /** The name of this node. */
  readonly node: string;
  /**
   * Gives a place to this node, with a new epoch. A claim for the same owner takes the place from the node that has it, and
   * ends the records that it cannot share the public place with (`displaces`). Throws `name_taken` if another owner has any
   * record there. `lookup` knows the record once the claim resolves.
   */
  claim(claim: LeaseClaim): Promise<LeaseRecord>;
  /** Replaces the record of a place. Changes nothing if its epoch is not the current one. */
  update(record: LeaseRecord): Promise<void>;
  /** Frees a place. Changes nothing if `epoch` is not the current one. */
  release(place: string, epoch: number): Promise<void>;
  /** The last known record of a place. It may be older than the directory's. */
  lookup(place: string): LeaseRecord | undefined;
  /** The last known records of a public place: one, or those of replicas. */
  at(publicPlace: string): readonly LeaseRecord[];
  /** Calls `listener` with each later change of any node, in order. Returns what ends that. */
  watch(listener: (change: LeaseChange) => void): () => void;
  /** Ends the view of this node. Places that it still has wait for their agents at the other nodes, as if these had disconnected. */
  close(): Promise<void>;
}

/** The error for a place that another owner has. */
export function nameTaken({
  name,
  hostname,
  isOwnDomain,
}: Pick<LeaseRecord, 'name' | 'hostname' | 'isOwnDomain'>): PortalError {
  const what = isOwnDomain ? hostname : name;
  return new PortalError('name_taken', `"${what}" is taken by another identity. ${otherName(what)}`);
}
