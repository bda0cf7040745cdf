import { PortalError } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';
import type { DenyList, ListElsewhere } from '../protection/access-lists.js';
import type { LeaseDirectory } from '../directory/directory.js';
import type { Store } from '../store/store.js';
import type { Links } from './links.js';

/** What a node lets other nodes call. `from` is the calling node; arguments and results are plain data. */
export type NodeMethods = Readonly<Record<string, (from: string, ...args: never[]) => unknown>>;

/**
 * The other nodes of this relay. Together they serve one domain; each has its own sessions, visitors and data connections.
 * Calls and messages from one node to another arrive in order, and their values are copied (structured clone).
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
  /** Calls `listener` with the name of each node that ends, or whose connection is lost: it may have ended. */
  onLeft(listener: (node: string) => void): void;
}

/** What the nodes of one relay share. Each node gets its own view of it. */
export interface Cluster {
  readonly directory: LeaseDirectory;
  readonly store: Store;
  readonly nodes: Nodes;
  /** Without them, a visitor waits until a data connection of its service arrives at its node. */
  readonly links?: Links | undefined;
  /** The deny lists of all nodes. Default: each node has its own. */
  readonly denials?: SharedDenials;
  /** Whether all nodes accept from the same sockets, as processes of one machine. Default: each has its own. */
  readonly sharesPorts?: boolean;
  /** Whether this node may still serve its leases. Asked before each visitor. Default: it may. */
  readonly isCurrent?: () => boolean;
  /** Why this node cannot serve new visitors; undefined if it can. */
  readonly problem?: () => string | undefined;
  /** Why agents cannot open services now, while visitors are served; undefined if they can. */
  readonly degraded?: () => string | undefined;
  /** For metrics. Default: this node has none of these numbers. */
  readonly counts?: () => ClusterCounts;
}

/** The deny lists of all nodes of a relay. A list stays in effect when its node ends. */
export interface SharedDenials {
  /** The lists of the other nodes. */
  readonly elsewhere: readonly ListElsewhere[];
  /** Calls `listener` when `elsewhere` has changed. */
  onChange(listener: () => void): void;
  /** Replaces the list of this node, for all other nodes. They get it as soon as possible. */
  publish(list: DenyList): void;
}

/** What a node knows of its relay. */
export interface ClusterCounts {
  /** Nodes that run, including this one. */
  readonly nodes: number;
  /** Leases of all nodes. */
  readonly leases: number;
  /** This node has heard of every change that is older than this. */
  readonly lagMs: number;
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
export function nodeLeft(node: string): PortalError {
  return new PortalError('relay_busy', `node ${node} of this relay does not run`, { retryAfterMs: 1_000 });
}

/** How long another node may take to respond. A client or a person waits meanwhile. */
export const NODE_RESPONSE_MS = 5_000;

type Call = [nodes: Nodes, node: string, method: string, ...args: unknown[]];

function responseOf(ms: number, ...[nodes, node, method, ...args]: Call): Promise<unknown> {
  return within(nodes.call(node, method, ...args), ms, `the response of node ${node}`);
}

/** Calls a method of another node. Throws its error, or `relay_busy` if it ends or does not respond in time. */
export async function callNode(...call: Call): Promise<unknown> {
  try {
    return await responseOf(NODE_RESPONSE_MS, ...call);
  } catch (error) {
    if (!(error instanceof PortalError) || error.code !== 'timeout') throw error;
    throw new PortalError('relay_busy', error.message, { retryAfterMs: 1_000 });
  }
}

/** Calls a method of another node. Resolves with undefined if that node fails or does not respond within `ms`. */
export async function askWithin(...call: Parameters<typeof responseOf>): Promise<unknown> {
  try {
    return await responseOf(...call);
  } catch {
    return undefined;
  }
}

/** The same, with the timeout of `callNode`. */
export function ask(...call: Call): Promise<unknown> {
  return askWithin(NODE_RESPONSE_MS, ...call);
}
