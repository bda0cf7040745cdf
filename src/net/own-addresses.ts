import { networkInterfaces } from 'node:os';
import { isLoopback } from './datagrams/udp.js';

/** Watches this machine's IP addresses. They change when a laptop joins another Wi-Fi network, or when a cable is unplugged. */

export interface OwnAddresses {
  /** Calls `changed` with all addresses after each change. Returns a function that stops the watch. */
  watch(changed: (addresses: ReadonlySet<string>) => void): () => void;
}

type Read = () => ReturnType<typeof networkInterfaces>;

/** One read takes about 50 µs. Node has no event for changes. */
const CHECK_EVERY_MS = 1_000;

/** Reads the addresses periodically while there is a watcher. */
export class InterfaceWatch implements OwnAddresses {
  readonly #read: Read;
  readonly #everyMs: number;
  readonly #watchers = new Set<(addresses: ReadonlySet<string>) => void>();
  #timer: NodeJS.Timeout | undefined;
  #routable = '';

  constructor(read: Read = networkInterfaces, everyMs = CHECK_EVERY_MS) {
    this.#read = read;
    this.#everyMs = everyMs;
  }

  watch(changed: (addresses: ReadonlySet<string>) => void): () => void {
    this.#watchers.add(changed);
    if (!this.#timer) {
      this.#routable = routableOf(this.#addresses());
      this.#timer = setInterval(() => this.#check(), this.#everyMs).unref();
    }
    return () => {
      this.#watchers.delete(changed);
      if (this.#watchers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #check(): void {
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
      // The system cannot list them now.
      return new Set();
    }
  }
}

/** Addresses that reach other machines. Container bridges have only link-local addresses, and change all the time. */
function routableOf(addresses: ReadonlySet<string>): string {
  return [...addresses]
    .filter((address) => !isLoopback(address) && !/^fe[89ab]/i.test(address))
    .toSorted()
    .join(' ');
}

/** Shared by all sessions of the process. */
export const ownAddresses: OwnAddresses = new InterfaceWatch();
