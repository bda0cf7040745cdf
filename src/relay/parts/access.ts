import { AddressSet } from '../../net/cidr.js';
import { clientOf, plainAddress } from '../../net/client-address.js';
import type { Socket } from 'node:net';
import { AccessLists, EMPTY_LIST } from '../protection/access-lists.js';
import { Descriptors } from '../protection/descriptors.js';
import { Quotas } from '../protection/quotas.js';
import type { Settings } from './settings.js';

/** Who may use the relay, and how much of it. */
export class Access {
  readonly denied: AccessLists;
  readonly quotas: Quotas;
  readonly descriptors: Descriptors;

  readonly #proxies: AddressSet;

  constructor({ options, limits, log }: Settings) {
    this.#proxies = new AddressSet(options.proxies ?? []);
    this.quotas = new Quotas(limits);
    this.descriptors = new Descriptors(options.descriptorLimit, log);
    this.denied = new AccessLists({ owner: options.owner, log });
    this.denied.allow(options.allow);
    this.denied.set(options.deny ?? EMPTY_LIST);
    this.denied.setElsewhere(options.cluster?.denials?.elsewhere ?? []);
  }

  /** Whether a connection comes from a proxy that names the client in a header. */
  isProxy(socket: Socket): boolean {
    return this.#proxies.has(plainAddress(socket.remoteAddress));
  }

  /** Counts a connection to a public port; false if its address may not have another one. */
  admits(socket: Socket): boolean {
    return this.denied.connection(socket) && this.quotas.connection(socket, clientOf(socket).address);
  }
}
