import type { Socket } from 'node:net';
import { checksumAddress } from '../identity/keys.js';
import { PortalError } from '../lib/errors.js';
import { Tally } from '../lib/tally.js';
import { AddressSet, rangeProblem } from '../net/cidr.js';
import { plainAddress } from './names.js';

/** Whom the operator of a relay does not want there. */
export interface DenyList {
  /** Identities, as the relay writes them. */
  readonly identities: ReadonlySet<string>;
  readonly addresses: AddressSet;
}

export const NOBODY: DenyList = { identities: new Set(), addresses: new AddressSet([]) };

const IDENTITY = /^0x[0-9a-f]{40}$/i;

/**
 * A list as a file holds it: an identity, an IP address or a range on each line, `#` begins a comment. Throws `usage`
 * with every line that is none.
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

/** Owns the list that counts now, and how often it did. */
export class Denied {
  readonly counts = new Tally<'identity' | 'address'>();
  readonly #owner: string | undefined;
  #list = NOBODY;
  readonly #connections = new Set<Socket>();

  /** @param owner the only identity that is served; undefined: any may come */
  constructor(owner?: string) {
    this.#owner = owner;
  }

  set(list: DenyList): void {
    this.#list = list;
  }

  hasIdentity(address: string): boolean {
    return this.#list.identities.has(address);
  }

  hasAddress(address: string | undefined): boolean {
    return this.#list.addresses.has(plainAddress(address));
  }

  /** Notes a connection to a public port, for as long as it is open; false: it is not wanted. */
  connection(socket: Socket): boolean {
    if (!this.admits(socket.remoteAddress)) return false;
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    return true;
  }

  /** Connections from addresses that are not wanted any more. */
  *unwanted(): Iterable<Socket> {
    for (const socket of this.#connections) if (this.hasAddress(socket.remoteAddress)) yield socket;
  }

  /** Whether `address` may have a connection, or send a datagram. */
  admits(address: string | undefined): boolean {
    if (!this.hasAddress(address)) return true;
    this.counts.add('address');
    return false;
  }

  /** Throws `unauthorized` for an identity that is not wanted. */
  check(identity: string): void {
    const isOther = this.#owner !== undefined && identity !== this.#owner;
    if (!isOther && !this.hasIdentity(identity)) return;
    this.counts.add('identity');
    throw isOther ? otherOwner() : identityDenied();
  }
}

export const identityDenied = (): PortalError => denies('this identity');
export const addressDenied = (): PortalError => denies('the address that this agent comes from');

const otherOwner = (): PortalError =>
  new PortalError('unauthorized', 'this relay belongs to an agent with another identity', {
    hint: 'Run a relay for several identities with `portal relay`.',
    retryAfterMs: RETRY_MS,
  });

function denies(whom: string): PortalError {
  return new PortalError(
    'unauthorized',
    `the operator of this relay denies ${whom}; ask them, or use another relay`,
    { retryAfterMs: RETRY_MS },
  );
}
