import { asPortalError, PortalError, type ErrorCode } from './errors.js';
import { deferred, type Deferred } from './wait.js';

/**
 * Calls between two processes of one program. Their channel keeps the order of messages and copies values (structured
 * clone), as the channel of a child process does with `serialization: 'advanced'`.
 */
export interface Channel {
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Calls `listener` once, when no more messages can arrive. */
  onClose(listener: () => void): void;
  close(): void;
}

type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;

interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;
}

type Message =
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly args: never[] }
  /** A call without a result. */
  | { readonly type: 'tell'; readonly method: string; readonly args: never[] }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly failure: Failure }
  | { readonly type: 'event'; readonly event: unknown };

/** Executes the calls that arrive on `channel`, and returns what sends an event to the other end. */
export function serveCalls(channel: Channel, methods: Methods): (event: unknown) => void {
  let isOpen = true;
  const send = (message: Message): void => {
    if (isOpen) channel.send(message);
  };
  channel.onClose(() => (isOpen = false));
  channel.onMessage((received) => {
    const message = received as Message;
    if (message.type !== 'call' && message.type !== 'tell') return;
    const result = run(methods, message);
    if (message.type === 'tell') {
      result.catch(() => undefined);
      return;
    }
    const { id } = message;
    result.then(
      (value) => send({ type: 'result', id, value }),
      (error: unknown) => {
        const { code, message: text, hint, retryAfterMs } = asPortalError(error);
        send({ type: 'failure', id, failure: { code, message: text, hint, retryAfterMs } });
      },
    );
  });
  return (event) => send({ type: 'event', event });
}

async function run(
  methods: Methods,
  { method, args }: { readonly method: string; readonly args: never[] },
): Promise<unknown> {
  const called = methods[method];
  if (!called) throw new Error(`no such method: ${method}`);
  return called(...args);
}

const MAIN_PROCESS_GONE = 'the main process of this relay does not respond';

/** Calls methods at the other end of a channel. */
export class Caller {
  readonly #channel: Channel;
  readonly #pending = new Map<number, Deferred<unknown>>();
  readonly #whenClosed: string;
  #next = 0;
  #isOpen = true;

  /**
   * `onEvent` gets the events of the other end, in order with the results of calls. `whenClosed` is the message of the error
   * once the channel is closed.
   */
  constructor(
    channel: Channel,
    onEvent: (event: unknown) => void = () => undefined,
    whenClosed = MAIN_PROCESS_GONE,
  ) {
    this.#channel = channel;
    this.#whenClosed = whenClosed;
    channel.onMessage((message) => this.#receive(message as Message, onEvent));
    channel.onClose(() => this.#closed());
  }

  /** Calls `method`. The other end executes calls in their order. Throws its error, or `relay_busy` once the channel is closed. */
  async call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (!this.#isOpen) throw disconnected(this.#whenClosed);
    const id = this.#next++;
    const result = deferred<unknown>();
    this.#pending.set(id, result);
    this.#channel.send({ type: 'call', id, method, args });
    return result.promise;
  }

  /** Calls `method` without a result, in order with other calls. Its errors are lost. */
  tell(method: string, ...args: readonly unknown[]): void {
    if (this.#isOpen) this.#channel.send({ type: 'tell', method, args });
  }

  /** Resolves when every pending call has its result. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#pending.values()].map(({ promise }) => promise));
  }

  close(): void {
    this.#closed();
    this.#channel.close();
  }

  #receive(message: Message, onEvent: (event: unknown) => void): void {
    if (message.type === 'event') return onEvent(message.event);
    if (message.type === 'call' || message.type === 'tell') return;
    const result = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'result') return result?.resolve(message.value);
    const { code, message: text, hint, retryAfterMs } = message.failure;
    result?.reject(
      new PortalError(code, text, {
        ...(hint !== undefined && { hint }),
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      }),
    );
  }

  #closed(): void {
    this.#isOpen = false;
    for (const { reject } of this.#pending.values()) reject(disconnected(this.#whenClosed));
    this.#pending.clear();
  }
}

const disconnected = (message: string): PortalError =>
  new PortalError('relay_busy', message, { retryAfterMs: 1_000 });
