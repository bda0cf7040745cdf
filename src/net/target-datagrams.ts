import { systemCode } from '../lib/errors.js';
import {
  addressesOf,
  remember,
  unreachable,
  type TcpTarget,
  type UnreachableWords,
} from './target-addresses.js';
import { connectUdp, type UdpSocket } from './udp.js';

/** A lookup of the target's name takes no longer. */
export const LOOKUP_MS = 5_000;
/** A refusal is heard within this, or will not come: what was sent is not kept any longer. */
const HEARD_MS = 100;
/** Datagrams that are kept for that long at most, to send them again elsewhere. */
const MAX_KEPT = 16;
/** All addresses have refused: for this long the target is down, and not looked for at each datagram. */
const REST_MS = 250;

const WORDS: UnreachableWords = { nothing: 'nothing takes datagrams', refused: 'refused the datagrams' };

/** What the system says where nobody takes datagrams; anything else would be the same at another address. */
const REFUSED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
]);

/** A conversation with a target from a port of its own. */
export interface Datagrams {
  /** False: not taken. What is taken must not be changed any more. */
  send(payload: Buffer): boolean;
  close(): void;
}

export interface DatagramsHooks {
  readonly onMessage: (payload: Buffer) => void;
  /** `lost` datagrams, at least, did not reach the target, and why: `target_down` where it has refused them. */
  readonly onFailed: (error: Error, lost: number) => void;
  /** Answers that were lost because this process did not read them in time. */
  readonly onOverrun: (count: number) => void;
  /** It cannot go on. */
  readonly onEnd: () => void;
}

/**
 * A conversation with a target in datagrams, from a port of its own. A connected socket hears of a refusal (ICMP): the
 * next address of the target is asked then, beginning with what the other has refused.
 */
export class TargetDatagrams implements Datagrams {
  readonly #target: TcpTarget;
  readonly #addresses: readonly string[];
  readonly #bufferBytes: number;
  readonly #hooks: DatagramsHooks;
  /** The one that is spoken with; undefined while another address is tried. */
  #socket: UdpSocket | undefined;
  #at = -1;
  /** By address, since something was heard from the target last. */
  readonly #refusals = new Map<string, string>();
  #kept: Buffer[] = [];
  #hearing: NodeJS.Timeout | undefined;
  #down: { readonly error: Error; readonly until: number } | undefined;
  #closed = false;

  private constructor(
    target: TcpTarget,
    addresses: readonly string[],
    bufferBytes: number,
    hooks: DatagramsHooks,
  ) {
    this.#target = target;
    this.#addresses = addresses;
    this.#bufferBytes = bufferBytes;
    this.#hooks = hooks;
  }

  /** Rejects with `target_down` where none of the target's addresses can be spoken with from this machine. */
  static async open(target: TcpTarget, bufferBytes: number, hooks: DatagramsHooks): Promise<TargetDatagrams> {
    const addresses = await addressesOf(target, { ms: LOOKUP_MS, prefer: 'ipv4' });
    const opened = new TargetDatagrams(target, addresses, bufferBytes, hooks);
    opened.#use(await opened.#connect());
    return opened;
  }

  /** False: not taken. What is taken must not be changed any more. */
  send(payload: Buffer): boolean {
    if (this.#closed) return false;
    if (!this.#socket) return this.#keep(payload);
    if (!this.#socket.send(payload)) return false;
    if (this.#addresses.length > 1) this.#keep(payload);
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#forget();
    this.#socket?.close();
  }

  #keep(payload: Buffer): boolean {
    if (this.#kept.length >= MAX_KEPT) return false;
    this.#kept.push(payload);
    this.#hear();
    return true;
  }

  #hear(): void {
    // What has arrived by then is read first.
    this.#hearing ??= setTimeout(() => setImmediate(() => this.#heard()), HEARD_MS).unref();
  }

  #heard(): void {
    // While it moves, the time counts from when it has arrived.
    if (this.#hearing && this.#socket) this.#accepted();
    this.#hearing = undefined;
  }

  /** The target has answered, or at least refused nothing for a while. */
  #accepted(): void {
    this.#kept = [];
    this.#refusals.clear();
    remember(this.#target, this.#addresses[this.#at]!);
  }

  /** What is kept is lost. */
  #forget(): void {
    clearTimeout(this.#hearing);
    this.#hearing = undefined;
    this.#kept = [];
  }

  /** A socket to the next address that there is a way to. */
  async #connect(): Promise<UdpSocket> {
    const count = this.#addresses.length;
    let cause: unknown;
    for (let tried = 0; tried < count; tried++) {
      this.#at = (this.#at + 1) % count;
      const address = this.#addresses[this.#at]!;
      try {
        return await connectUdp(address, this.#target.port, this.#bufferBytes);
      } catch (error) {
        this.#refusals.set(address, codeOf(error));
        cause = error;
      }
    }
    throw this.#describe(cause);
  }

  #use(socket: UdpSocket): void {
    if (this.#closed) return socket.close();
    this.#socket = socket;
    socket.onMessage((payload) => {
      if (this.#socket !== socket) return;
      if (this.#kept.length > 0) this.#accepted();
      this.#hooks.onMessage(payload);
    });
    socket.onOverrun((count) => this.#hooks.onOverrun(count));
    socket.onFailed((error) => {
      if (this.#socket === socket) this.#failed(error);
    });
    for (const payload of this.#kept) socket.send(payload);
    if (this.#kept.length > 0) this.#hear();
  }

  #failed(error: Error): void {
    const code = codeOf(error);
    if (!REFUSED.has(code)) return this.#hooks.onFailed(error, 1);
    if (this.#down && this.#down.until > performance.now()) return this.#lose(this.#down.error);
    this.#refusals.set(this.#addresses[this.#at]!, code);
    if (this.#everywhere) this.#giveUp(error);
    else void this.#move(error);
  }

  get #everywhere(): boolean {
    return this.#refusals.size >= this.#addresses.length;
  }

  async #move(refusal: Error): Promise<void> {
    this.#socket?.close();
    this.#socket = undefined;
    try {
      const socket = await this.#connect();
      // There may be no way to any other, and this is the one that has refused.
      if (this.#everywhere) this.#giveUp(refusal);
      this.#use(socket);
    } catch (error) {
      // No way to any address at all: it was possible a moment ago, so the flow ends, and the next begins anew.
      this.#lose(error as Error);
      this.#hooks.onEnd();
    }
  }

  /** Nobody takes datagrams at any address. The next round begins after a rest. */
  #giveUp(cause: Error): void {
    const error = this.#describe(cause);
    this.#refusals.clear();
    this.#down = { error, until: performance.now() + REST_MS };
    this.#lose(error);
  }

  #lose(error: Error): void {
    const lost = Math.max(1, this.#kept.length);
    this.#forget();
    this.#hooks.onFailed(error, lost);
  }

  #describe(cause: unknown): Error {
    const attempts = [...this.#refusals].map(([address, code]) => ({ address, code }));
    return unreachable(this.#target, attempts, WORDS, cause as Error);
  }
}

const codeOf = (error: unknown): string => systemCode(error) ?? (error as Error).message;
