import { PortalError } from '../lib/errors.js';
import { deferred, within } from '../lib/wait.js';
import type { PortalEvent } from '../reconcile/events.js';
import { timed } from './agent.js';
import type { EventName, Events, TimedEvent, WaitOptions } from './api.js';

const NEXT_MS = 5_000;

type Listener = (event: TimedEvent) => void;

/** Passes events on to the listeners of a program. */
export class EventHub {
  readonly #listeners = new Map<EventName | '*', Set<Listener>>();
  /** Aborts when no further event comes. */
  readonly #closed: AbortSignal;
  /** For programs. */
  readonly events: Events = {
    on: (name: EventName | '*', listener: (event: never) => void) => this.#add(name, listener as Listener),
    next: (name, options) => this.#next(name, options),
  };

  constructor(closed: AbortSignal) {
    this.#closed = closed;
  }

  /** An error of a listener becomes an uncaught exception of the program, and does not stop the agent. */
  emit(event: PortalEvent): void {
    const line = timed(event);
    for (const name of ['*', event.event] as const)
      for (const listener of this.#listeners.get(name) ?? []) {
        try {
          listener(line);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
  }

  #add(name: EventName | '*', listener: Listener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // The same function may be added twice.
    const own: Listener = (event) => listener(event);
    listeners.add(own);
    return () => void listeners.delete(own);
  }

  async #next<Name extends EventName>(
    name: Name,
    {
      match,
      timeoutMs = NEXT_MS,
      signal,
    }: WaitOptions & { readonly match?: (event: TimedEvent<Name>) => boolean } = {},
  ): Promise<TimedEvent<Name>> {
    const found = deferred<TimedEvent<Name>>();
    const stop = this.#add(name, (event) => {
      try {
        if (match?.(event as TimedEvent<Name>) ?? true) found.resolve(event as TimedEvent<Name>);
      } catch (error) {
        found.reject(error);
      }
    });
    try {
      const ending = signal ? AbortSignal.any([signal, this.#closed]) : this.#closed;
      return await within(found.promise, timeoutMs, `the event ${name}`, ending);
    } finally {
      stop();
    }
  }
}

export const closedError = (): PortalError => new PortalError('aborted', 'Portal was closed');
