import { isIPv6 } from 'node:net';
import { addressesOf, remember, type TcpTarget } from '../target/addresses.js';
import { LOOKUP_MS, type Datagrams, type DatagramsHooks } from './target-datagrams.js';
import { bindUdp, isLoopback, type UdpSocket } from './udp.js';

/** After this long without a reply, the next address of the target is tried. */
const SILENT_MS = 500;
/** TFTP opcodes that continue a transfer (RFC 1350, section 5): data, acknowledgement, error. */
const CONTINUES_TRANSFER: ReadonlySet<number> = new Set([3, 4, 5]);

/**
 * A conversation with a target that may reply from a different port than the one addressed, as TFTP does. Its sockets
 * are not connected: they receive from every port of the target's addresses and get no ICMP errors. Datagrams that
 * continue a TFTP transfer go to the port that replied last. All others go to the target's own port.
 */
export class AnyPortDatagrams implements Datagrams {
  readonly #target: TcpTarget;
  readonly #addresses: readonly string[];
  readonly #sockets: ReadonlyMap<string, UdpSocket>;
  /** Index of the address in use. */
  #at = 0;
  /** The port that replied last at that address. */
  #port: number | undefined;
  /** When the oldest datagram without a reply was sent. */
  #unansweredSince: number | undefined;

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

  /** Rejects with `target_down` if the target's name has no address, or with the system's error for the last address. */
  static async open(
    target: TcpTarget,
    bufferBytes: number,
    hooks: DatagramsHooks,
  ): Promise<AnyPortDatagrams> {
    const sockets = new Map<string, UdpSocket>();
    let failure: unknown;
    for (const address of await addressesOf(target, { ms: LOOKUP_MS, prefer: 'ipv4' })) {
      try {
        sockets.set(address, await bindUdp(localFor(address), 0, { bufferBytes }));
      } catch (error) {
        // For example a machine without IPv6: the other addresses are enough.
        failure = error;
      }
    }
    if (sockets.size === 0) throw failure;
    return new AnyPortDatagrams(target, sockets, hooks);
  }

  /** Returns false if the datagram was dropped. The caller must not change a payload that was accepted. */
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

  /**
   * Unconnected sockets get no ICMP errors, so a second datagram without a reply means that the address is silent.
   */
  #choose(now: number): void {
    if (this.#port !== undefined || this.#addresses.length === 1) return;
    this.#unansweredSince ??= now;
    if (now - this.#unansweredSince < SILENT_MS) return;
    this.#unansweredSince = now;
    this.#at = (this.#at + 1) % this.#addresses.length;
  }

  #answered(address: string, port: number, payload: Buffer, hooks: DatagramsHooks): void {
    this.#at = this.#addresses.indexOf(address);
    this.#port = port;
    remember(this.#target, address);
    hooks.onMessage(payload);
  }
}

/**
 * Local address to bind for a target address. A loopback target gets a loopback socket, so it never receives from
 * outside.
 */
function localFor(address: string): string {
  if (isLoopback(address)) return isIPv6(address) ? '::1' : '127.0.0.1';
  return isIPv6(address) ? '::' : '0.0.0.0';
}

function continuesTransfer(payload: Buffer): boolean {
  return payload.length >= 4 && payload[0] === 0 && CONTINUES_TRANSFER.has(payload[1]!);
}
