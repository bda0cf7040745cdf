import type { Channel } from './calls.js';

/** Several channels over one. */

/** `message` is absent when its channel closes. */
type Parcel<N extends string> = { readonly to: N; readonly message?: unknown };

/** Splits `below` into the channels `names`. Both ends must use the same names. Closing `below` closes all of them. */
export function multiplex<N extends string>(
  below: Channel,
  names: readonly N[],
): Readonly<Record<N, Channel>> {
  const parts = new Map(names.map((name) => [name, new Part(name, below)]));
  below.onMessage((received) => {
    const { to, ...rest } = received as Parcel<N>;
    const part = parts.get(to);
    if ('message' in rest) part?.receive(rest.message);
    else part?.closed();
  });
  below.onClose(() => {
    for (const part of parts.values()) part.closed();
  });
  return Object.fromEntries<Channel>(parts) as Record<N, Channel>;
}

class Part implements Channel {
  readonly #name: string;
  readonly #below: Channel;
  readonly #listeners: ((message: unknown) => void)[] = [];
  readonly #closeListeners: (() => void)[] = [];
  /** Messages before the first listener; undefined afterwards. */
  #early: unknown[] | undefined = [];
  #isOpen = true;

  constructor(name: string, below: Channel) {
    this.#name = name;
    this.#below = below;
  }

  send(message: unknown): void {
    if (this.#isOpen) this.#below.send({ to: this.#name, message } satisfies Parcel<string>);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listeners.push(listener);
    // A moment later, so that listeners added together all get the early messages.
    if (this.#listeners.length === 1) queueMicrotask(() => this.#flush());
  }

  onClose(listener: () => void): void {
    if (this.#isOpen) this.#closeListeners.push(listener);
    else queueMicrotask(listener);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#below.send({ to: this.#name } satisfies Parcel<string>);
    this.closed();
  }

  receive(message: unknown): void {
    if (!this.#isOpen) return;
    if (this.#early) this.#early.push(message);
    else for (const listener of this.#listeners) listener(message);
  }

  closed(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const listener of this.#closeListeners) listener();
  }

  #flush(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) for (const listener of this.#listeners) listener(message);
  }
}
