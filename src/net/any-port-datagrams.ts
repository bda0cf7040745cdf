import { isIPv6 } from 'node:net';
import { addressesOf, remember, type TcpTarget } from './target-addresses.js';
import { LOOKUP_MS, type Datagrams, type DatagramsHooks } from './target-datagrams.js';
import { bindUdp, isLoopback, type UdpSocket } from './udp.js';

/** An address that has not answered for this long gives way to the target's next one. */
const SILENT_MS = 500;
/** Opcodes of TFTP that continue a transfer (RFC 1350, section 5): data, acknowledgement, error. */
const CONTINUES_TRANSFER: ReadonlySet<number> = new Set([3, 4, 5]);

/**
 * A conversation with a target that may answer from another port than the one that was asked, as TFTP does. Its sockets are not
 * connected: they take answers from every port of the target's addresses, and hear of no refusal (ICMP). What continues a transfer
 * of TFTP goes to the port that answered last, everything else to the target's own.
 */
export class AnyPortDatagrams implements Datagrams {
  readonly #target: TcpTarget;
  readonly #addresses: readonly string[];
  readonly #sockets: ReadonlyMap<string, UdpSocket>;
  /** The address that is spoken with. */
  #at = 0;
  /** The port of it that answered last. */
  #port: number | undefined;
  /** Since when it owes an answer. */
  #askedAt: number | undefined;

  private constructor(target: TcpTarget, sockets: ReadonlyMap<string, UdpSocket>, hooks: DatagramsHooks) {
    this.#target = target;
    this.#addresses = [...sockets.keys()];
    this.#sockets = sockets;
    for (const [address, socket] of sockets) {
      socket.onMessage((payload, from) => {
        if (from.address.split('%', 1)[0] === address) this.#answered(address, from.port, payload, hooks);
      });
      socket.onOverrun((count) => hooks.onOverrun(count));
      socket.onFailed((error) => hooks.onFailed(error, 1));
    }
  }

  /** Rejects with `target_down` where the target's name has no address, or with what the system says of the last of them. */
  static async open(
    target: TcpTarget,
    bufferBytes: number,
    hooks: DatagramsHooks,
  ): Promise<AnyPortDatagrams> {
    const sockets = new Map<string, UdpSocket>();
    let failure: unknown;
    for (const address of await addressesOf(target, { ms: LOOKUP_MS, prefer: 'ipv4' })) {
      try {
        sockets.set(address, await bindUdp(localFor(address), 0, false, bufferBytes));
      } catch (error) {
        // A machine without IPv6, say: the other addresses are enough.
        failure = error;
      }
    }
    if (sockets.size === 0) throw failure;
    return new AnyPortDatagrams(target, sockets, hooks);
  }

  /** False: not taken. What is taken must not be changed any more. */
  send(payload: Buffer): boolean {
    const continues = continuesTransfer(payload);
    if (!continues) this.#choose(performance.now());
    const address = this.#addresses[this.#at]!;
    const port = continues ? (this.#port ?? this.#target.port) : this.#target.port;
    return this.#sockets.get(address)!.send(payload, port, address);
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
  }

  /** There is no refusal to go by: who asks again after a while has not been answered. */
  #choose(now: number): void {
    if (this.#port !== undefined || this.#addresses.length === 1) return;
    this.#askedAt ??= now;
    if (now - this.#askedAt < SILENT_MS) return;
    this.#askedAt = now;
    this.#at = (this.#at + 1) % this.#addresses.length;
  }

  #answered(address: string, port: number, payload: Buffer, hooks: DatagramsHooks): void {
    this.#at = this.#addresses.indexOf(address);
    this.#port = port;
    remember(this.#target, address);
    hooks.onMessage(payload);
  }
}

/** A socket of its own for each address: none of the local machine hears what comes from outside. */
function localFor(address: string): string {
  if (isLoopback(address)) return isIPv6(address) ? '::1' : '127.0.0.1';
  return isIPv6(address) ? '::' : '0.0.0.0';
}

function continuesTransfer(payload: Buffer): boolean {
  return payload.length >= 4 && payload[0] === 0 && CONTINUES_TRANSFER.has(payload[1]!);
}
