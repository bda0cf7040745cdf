import { networkInterfaces } from 'node:os';
import { isLoopback } from './udp.js';

/** The IP addresses of this machine, and that they change: a laptop takes another Wi-Fi, a cable is pulled. */

export interface OwnAddresses {
  /** Calls `changed` after each change, with all addresses there are; returns what ends it. */
  watch(changed: (addresses: ReadonlySet<string>) => void): () => void;
}

type Read = () => ReturnType<typeof networkInterfaces>;

/** Reading them takes some 50 µs. No event of node's tells. */
const LOOK_EVERY_MS = 1_000;

/** Looks again and again, while somebody wants to know. */
export class InterfaceWatch implements OwnAddresses {
  readonly #read: Read;
  readonly #everyMs: number;
  readonly #watchers = new Set<(addresses: ReadonlySet<string>) => void>();
  #timer: NodeJS.Timeout | undefined;
  #routable = '';

  constructor(read: Read = networkInterfaces, everyMs = LOOK_EVERY_MS) {
    this.#read = read;
    this.#everyMs = everyMs;
  }

  watch(changed: (addresses: ReadonlySet<string>) => void): () => void {
    this.#watchers.add(changed);
    if (!this.#timer) {
      this.#routable = routableOf(this.#addresses());
      this.#timer = setInterval(() => this.#look(), this.#everyMs).unref();
    }
    return () => {
      this.#watchers.delete(changed);
      if (this.#watchers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #look(): void {
    const addresses = this.#addresses();
    const routable = routableOf(addresses);
    if (routable === this.#routable) return;
    this.#routable = routable;
    for (const changed of this.#watchers) changed(addresses);
  }

  #addresses(): ReadonlySet<string> {
    try {
      return new Set(
        Object.values(this.#read()).flatMap((those) => those?.map(({ address }) => address) ?? []),
      );
    } catch {
      // The system does not tell now.
      return new Set();
    }
  }
}

/** Those that lead elsewhere. Bridges of containers have link-local ones alone, and come and go all the time. */
function routableOf(addresses: ReadonlySet<string>): string {
  return [...addresses]
    .filter((address) => !isLoopback(address) && !/^fe[89ab]/i.test(address))
    .toSorted()
    .join(' ');
}

/** One for all sessions of the process. */
export const ownAddresses: OwnAddresses = new InterfaceWatch();
