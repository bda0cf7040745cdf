import { systemCode } from '../../lib/errors.js';
import {
  addressesOf,
  remember,
  unreachable,
  type TcpTarget,
  type UnreachableTexts,
} from '../target/addresses.js';
import { connectUdp, type UdpSocket } from './udp.js';

/** Timeout for resolving the target's name. */
export const LOOKUP_MS = 5_000;
/** A refusal (ICMP) arrives within this time. Sent datagrams are not kept longer. */
const REFUSAL_MS = 100;
/** Limit of datagrams kept during that time, to send them again to another address. */
const MAX_KEPT = 16;
/** After all addresses have refused, the target counts as down for this long. */
const DOWN_MS = 250;

const WORDS: UnreachableTexts = { nothing: 'nothing receives datagrams', refused: 'refused the datagrams' };

/** System codes for a refusal. Any other error would be the same at another address. */
const REFUSED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
]);

/** A conversation with a target from its own local port. */
export interface Datagrams {
  /** Returns false if the datagram was dropped. The caller must not change a payload that was accepted. */
  send(payload: Buffer): boolean;
  close(): void;
}

export interface DatagramsHooks {
  readonly onMessage: (payload: Buffer) => void;
  /** At least `lost` datagrams did not reach the target. The error is `target_down` if it refused them. */
  readonly onFailed: (error: Error, lost: number) => void;
  /** Replies lost because this process did not read them in time. */
  readonly onOverrun: (count: number) => void;
  /** The conversation cannot continue. */
  readonly onEnd: () => void;
}

/**
 * A datagram conversation with a target from its own local port. A connected socket learns of a refusal (ICMP). The
 * conversation then moves to the target's next address and sends the refused datagrams again.
 */
export class TargetDatagrams implements Datagrams {
  readonly #target: TcpTarget;
  readonly #addresses: readonly string[];
  readonly #bufferBytes: number;
  readonly #hooks: DatagramsHooks;
  /** The socket in use; undefined while another address is tried. */
  #socket: UdpSocket | undefined;
  #at = -1;
  /** Refusals by address since the target last replied. */
  readonly #refusals = new Map<string, string>();
  #kept: Buffer[] = [];
  #refusalTimer: NodeJS.Timeout | undefined;
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

  /** Rejects with `target_down` if this machine can reach none of the target's addresses. */
  static async open(target: TcpTarget, bufferBytes: number, hooks: DatagramsHooks): Promise<TargetDatagrams> {
    const addresses = await addressesOf(target, { ms: LOOKUP_MS, prefer: 'ipv4' });
    const opened = new TargetDatagrams(target, addresses, bufferBytes, hooks);
    opened.#use(await opened.#connect());
    return opened;
  }

  /** Returns false if the datagram was dropped. The caller must not change a payload that was accepted. */
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
    this.#awaitRefusal();
    return true;
  }

  #awaitRefusal(): void {
    // Read pending input first.
    this.#refusalTimer ??= setTimeout(() => setImmediate(() => this.#awaited()), REFUSAL_MS).unref();
  }

  #awaited(): void {
    // While it moves to another address, the time counts from its arrival there.
    if (this.#refusalTimer && this.#socket) this.#accepted();
    this.#refusalTimer = undefined;
  }

  /** The target has replied, or has not refused anything for a while. */
  #accepted(): void {
    this.#kept = [];
    this.#refusals.clear();
    remember(this.#target, this.#addresses[this.#at]!);
  }

  /** The kept datagrams are lost. */
  #forget(): void {
    clearTimeout(this.#refusalTimer);
    this.#refusalTimer = undefined;
    this.#kept = [];
  }

  /** Opens a socket to the next reachable address. */
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
    if (this.#kept.length > 0) this.#awaitRefusal();
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
      // There may be no other reachable address: the socket may be at the one that refused.
      if (this.#everywhere) this.#giveUp(refusal);
      this.#use(socket);
    } catch (error) {
      // No address is reachable, although one was a moment ago. End this flow; the next one starts again.
      this.#lose(error as Error);
      this.#hooks.onEnd();
    }
  }

  /** No address receives datagrams. The next round starts after a pause. */
  #giveUp(cause: Error): void {
    const error = this.#describe(cause);
    this.#refusals.clear();
    this.#down = { error, until: performance.now() + DOWN_MS };
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
