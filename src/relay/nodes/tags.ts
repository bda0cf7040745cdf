import { createHash } from 'node:crypto';
import { ask, type Nodes } from './nodes.js';

/** What begins the names of a node's tickets and the ids of its associations. Two nodes may share a tag. */
interface NodeTag {
  readonly ticket: string;
  readonly association: Buffer;
}

const TICKET_CHARS = 2;
const ASSOCIATION_BYTES = 2;
/** Every packet that arrives at another node is compared with the tags, so they are not computed again. */
const MAX_KNOWN = 1_024;
const known = new Map<string, NodeTag>();

function tagsOf(node: string): NodeTag {
  let tag = known.get(node);
  if (!tag) {
    const digest = createHash('sha256').update(node).digest();
    tag = {
      ticket: digest.toString('base64url').slice(0, TICKET_CHARS),
      association: digest.subarray(0, ASSOCIATION_BYTES),
    };
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(node, tag);
  }
  return tag;
}

export const ticketTagOf = (node: string): string => tagsOf(node).ticket;
export const associationTagOf = (node: string): Buffer => tagsOf(node).association;

/** The other nodes that may have issued the ticket with this name. */
export function issuersOf(nodes: Nodes, ticketName: string): string[] {
  return [...nodes.others].filter((node) => ticketName.startsWith(ticketTagOf(node)));
}

/** Lets the issuer of a ticket redeem it with `method`. Resolves with its result; undefined if no node has issued the ticket. */
export async function askIssuers(
  nodes: Nodes,
  issuers: readonly string[],
  method: string,
  ...args: readonly unknown[]
): Promise<unknown> {
  for (const node of issuers) {
    const result = await ask(nodes, node, method, ...args);
    if (result !== undefined) return result;
  }
  return undefined;
}
