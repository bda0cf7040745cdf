import { PortalError } from '../../lib/errors.js';
import type { LeaseDirectory } from '../directory/directory.js';
import type { Store } from '../store/store.js';

/** What a node lets other nodes call. `from` is the calling node; arguments and results are plain data. */
type NodeMethods = Readonly<Record<string, (from: string, ...args: never[]) => unknown>>;

/**
 * The other nodes of this relay. Together they serve one domain; each has its own sessions, visitors and data connections.
 * Calls and messages from one node to another arrive in their order, and copy what they pass (structured clone).
 */
export interface Nodes {
  /** The other nodes that run now. */
  readonly others: Iterable<string>;
  /** Calls a method of another node. Throws its error, or `relay_busy` if that node ends before it responds. */
  call(node: string, method: string, ...args: readonly unknown[]): Promise<unknown>;
  /** Calls a method without a result. Does nothing if that node has ended. */
  tell(node: string, method: string, ...args: readonly unknown[]): void;
  /** Adds what other nodes may call here. */
  serve(methods: NodeMethods): void;
  /** Calls `listener` with the name of each node that ends. */
  onLeft(listener: (node: string) => void): void;
}

/** What the nodes of one relay share. Each node gets its own view of it. */
export interface Cluster {
  readonly directory: LeaseDirectory;
  readonly store: Store;
  readonly nodes: Nodes;
}

/** A relay of one node. */
export const ALONE: Nodes = {
  others: [],
  call: (node) => Promise.reject(nodeLeft(node)),
  tell: () => undefined,
  serve: () => undefined,
  onLeft: () => undefined,
};

/** The error for a call to a node that does not run. */
function nodeLeft(node: string): PortalError {
  return new PortalError('relay_busy', `node ${node} of this relay does not run`, { retryAfterMs: 1_000 });
}
