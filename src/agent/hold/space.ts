import type { HoldLimits } from './limits.js';

/** Requests, and the bytes of their bodies and header fields. */
export interface Usage {
  readonly count: number;
  readonly bytes: number;
}

type SpaceLimits = Pick<HoldLimits, 'maxOfService' | 'maxServiceBytes' | 'maxRequests' | 'maxBytes'>;

/** Space for a body while it arrives. It counts toward the limits. */
export class Room {
  bytes = 0;
  readonly #has: (bytes: number) => boolean;

  constructor(has: (bytes: number) => boolean) {
    this.#has = has;
  }

  /** False: the limits allow no more. */
  add(bytes: number): boolean {
    if (!this.#has(bytes)) return false;
    this.bytes += bytes;
    return true;
  }
}

/** Applies the limits of held requests. Bodies that still arrive count too, so that many senders at once cannot exceed a limit. */
export class HeldSpace {
  readonly #limits: SpaceLimits;
  readonly #waiting: (service?: string) => Usage;
  /** Bodies that arrive, by service. */
  readonly #arriving = new Map<Room, string>();

  /** @param waiting the requests of `service` that wait, or those of all services */
  constructor(limits: SpaceLimits, waiting: (service?: string) => Usage) {
    this.#limits = limits;
    this.#waiting = waiting;
  }

  /** Space for one more request of `service`. Release it with `leave`. Undefined if the limits allow none. */
  enter(service: string): Room | undefined {
    const { maxOfService, maxServiceBytes, maxRequests, maxBytes } = this.#limits;
    if (this.#usage(service).count >= maxOfService || this.#usage().count >= maxRequests) return undefined;
    const room = new Room(
      (bytes) =>
        this.#usage(service).bytes + bytes <= maxServiceBytes && this.#usage().bytes + bytes <= maxBytes,
    );
    this.#arriving.set(room, service);
    return room;
  }

  leave(room: Room): void {
    this.#arriving.delete(room);
  }

  /** Of one service, or of all. */
  #usage(service?: string): Usage {
    let { count, bytes } = this.#waiting(service);
    for (const [room, of] of this.#arriving) {
      if (service !== undefined && of !== service) continue;
      count++;
      bytes += room.bytes;
    }
    return { count, bytes };
  }
}
