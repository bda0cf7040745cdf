import { clientOf, plainAddress } from '../../net/client-address.js';
import type { Socket } from 'node:net';
import { checksumAddress } from '../../identity/keys.js';
import { PortalError } from '../../lib/errors.js';
import { silent, type Logger } from '../../lib/logger.js';
import { Tally } from '../../lib/tally.js';
import { AddressSet, rangeProblem } from '../../net/cidr.js';

/** The identities and addresses of a list for `--deny` or `--allow`. */
export interface DenyList {
  /** Identities, with checksum. */
  readonly identities: ReadonlySet<string>;
  readonly addresses: AddressSet;
}

/** The deny list of another node of this relay. */
export interface ListElsewhere {
  /** The address of the node, for the log. */
  readonly node: string;
  readonly list: DenyList;
}

export const EMPTY_LIST: DenyList = { identities: new Set(), addresses: new AddressSet([]) };

const IDENTITY = /^0x[0-9a-f]{40}$/i;

/**
 * Parses a list file: an identity, an IP address or a range on each line; `#` starts a comment. Throws `usage` with every
 * invalid line.
 */
export function readDenyList(text: string): DenyList {
  const identities = new Set<string>();
  const ranges: string[] = [];
  const problems: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const entry = line.replace(/#.*/, '').trim();
    if (entry === '') continue;
    if (IDENTITY.test(entry)) {
      identities.add(checksumAddress(entry));
      continue;
    }
    const problem = rangeProblem(entry);
    if (problem === undefined) ranges.push(entry);
    else problems.push(`line ${index + 1}: "${entry}" ${problem}`);
  }
  if (problems.length > 0)
    throw new PortalError('usage', problems.join('; '), {
      hint: 'Each line is an identity (0x and 40 hex digits), an IP address or a range such as 192.0.2.0/24.',
    });
  return { identities, addresses: new AddressSet(ranges) };
}

const RETRY_MS = 30_000;

/** Minimum pause between log lines about one denied address, which may retry often. */
const TELL_EVERY_MS = 60_000;

/** An agent: its identity, if proven, and its IP address. */
export interface ConnectingAgent {
  readonly identity: string;
  readonly address: string | undefined;
}

/** A deny list, with its node if that is another one. */
type OneList = Pick<ListElsewhere, 'list'> & Partial<ListElsewhere>;

/** Why an agent or visitor is denied: the entry of the list, and the error it gets. */
interface Denial {
  readonly rule: string;
  readonly what: 'identity' | 'address';
  readonly error: () => PortalError;
}

export interface AccessListsOptions {
  /** The only identity that may use the relay; undefined: any. */
  readonly owner?: string | undefined;
  readonly log?: Logger;
}

/** Owns the current lists: who is denied, and who alone is allowed. */
export class AccessLists {
  readonly counts = new Tally<'identity' | 'address'>();
  readonly #owner: string | undefined;
  readonly #log: Logger;
  /** The list of this node first. */
  #lists: readonly OneList[] = [{ list: EMPTY_LIST }];
  #allow: DenyList | undefined;
  readonly #connections = new Set<Socket>();
  /** By rule: when the log last named it, and how often it matched since. */
  readonly #told = new Map<string, { at: number; count: number }>();

  constructor({ owner, log = silent }: AccessListsOptions = {}) {
    this.#owner = owner;
    this.#log = log;
  }

  set(list: DenyList): void {
    this.#lists = [{ list }, ...this.#lists.slice(1)];
    this.#told.clear();
  }

  /** Replaces the deny lists of the other nodes of this relay, which apply here, too. */
  setElsewhere(lists: readonly ListElsewhere[]): void {
    this.#lists = [this.#lists[0]!, ...lists];
    this.#told.clear();
  }

  /** Denied identities, of all nodes. */
  get identities(): Iterable<string> {
    return this.#lists.flatMap(({ list }) => [...list.identities]);
  }

  /** Replaces the allow list: the only identities, and addresses of agents, that may hold leases; undefined: all may. */
  allow(list: DenyList | undefined): void {
    this.#allow = list;
  }

  hasIdentity(address: string): boolean {
    return this.#lists.some(({ list }) => list.identities.has(address));
  }

  hasAddress(address: string | undefined): boolean {
    return this.#addressRule(address) !== undefined;
  }

  /** Notes a connection to a public port while it is open; false if its address is denied. */
  connection(socket: Socket): boolean {
    if (!this.admits(clientOf(socket).address)) return false;
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    return true;
  }

  /** Open connections from addresses that are denied now. */
  *unwanted(): Iterable<Socket> {
    for (const socket of this.#connections) if (this.hasAddress(clientOf(socket).address)) yield socket;
  }

  /** Whether `address` may connect or send datagrams. */
  admits(address: string | undefined): boolean {
    const rule = this.#addressRule(address);
    if (rule === undefined) return true;
    this.counts.add('address');
    this.#tell(plainAddress(address), rule);
    return false;
  }

  /** Throws `unauthorized` for a denied identity. */
  check(identity: string): void {
    const denial = this.#ofIdentity(identity);
    if (denial) this.#refuse(denial, { identity, address: undefined });
  }

  /** Throws `unauthorized` for an agent that may not hold leases. */
  checkAgent(agent: ConnectingAgent): void {
    const denial = this.#denial(agent);
    if (denial) this.#refuse(denial, agent);
  }

  /** The error for a connected agent that is denied now; undefined if it may stay. An empty identity is not proven yet. */
  disconnects(agent: ConnectingAgent): PortalError | undefined {
    const denial = this.#denial(agent);
    if (!denial) return undefined;
    this.#log.info({ ...told(agent), rule: denial.rule }, 'agent denied: its session and leases end');
    return denial.error();
  }

  /** Whether a lease may stay. */
  permits(agent: ConnectingAgent): boolean {
    return this.#denial(agent) === undefined;
  }

  #denial(agent: ConnectingAgent): Denial | undefined {
    const { identity } = agent;
    const rule = this.#addressRule(agent.address);
    if (rule !== undefined) return { rule, what: 'address', error: addressDenied };
    if (identity === '') return undefined;
    return this.#ofIdentity(identity) ?? this.#notAllowed(agent);
  }

  #ofIdentity(identity: string): Denial | undefined {
    if (this.#owner !== undefined && identity !== this.#owner)
      return { rule: 'another identity owns this relay', what: 'identity', error: otherOwner };
    const rule = this.#ruleOf(({ identities }) => (identities.has(identity) ? identity : undefined));
    return rule === undefined ? undefined : { rule, what: 'identity', error: identityDenied };
  }

  #addressRule(address: string | undefined): string | undefined {
    const plain = plainAddress(address);
    return this.#ruleOf(({ addresses }) =>
      addresses.has(plain) ? (addresses.rangeOf(plain) ?? plain) : undefined,
    );
  }

  /** The rule of the first list that has a match, as the log shows it. */
  #ruleOf(match: (list: DenyList) => string | undefined): string | undefined {
    for (const { node, list } of this.#lists) {
      const entry = match(list);
      if (entry !== undefined) return `deny ${entry}${node === undefined ? '' : `, from node ${node}`}`;
    }
    return undefined;
  }

  #notAllowed({ identity, address }: ConnectingAgent): Denial | undefined {
    const list = this.#allow;
    if (!list || list.identities.has(identity) || list.addresses.has(plainAddress(address))) return undefined;
    return { rule: 'not in the allow list', what: 'identity', error: () => notAllowed(identity) };
  }

  #refuse({ rule, what, error }: Denial, agent: ConnectingAgent): never {
    this.counts.add(what);
    this.#log.info({ ...told(agent), rule }, 'agent denied');
    throw error();
  }

  #tell(address: string, rule: string): void {
    const last = this.#told.get(rule);
    const now = performance.now();
    if (last && now - last.at < TELL_EVERY_MS) return void last.count++;
    this.#log.info({ address, rule, ...(last && { more: last.count }) }, 'address denied');
    this.#told.set(rule, { at: now, count: 0 });
  }
}

const told = ({ identity, address }: ConnectingAgent) => ({
  ...(identity !== '' && { identity }),
  ...(address !== undefined && { address: plainAddress(address) }),
});

const identityDenied = (): PortalError => denies('this identity');
const addressDenied = (): PortalError => denies('the address that this agent comes from');

const otherOwner = (): PortalError =>
  new PortalError('unauthorized', 'this relay belongs to an agent with another identity', {
    hint: 'Run a relay for several identities with `portal relay`.',
    retryAfterMs: RETRY_MS,
  });

const notAllowed = (identity: string): PortalError =>
  new PortalError(
    'unauthorized',
    `the operator of this relay allows listed identities only; send them yours, ${identity}, or use another relay`,
    { retryAfterMs: RETRY_MS },
  );

function denies(whom: string): PortalError {
  return new PortalError(
    'unauthorized',
    `the operator of this relay denies ${whom}; ask them, or use another relay`,
    { retryAfterMs: RETRY_MS },
  );
}
