import { randomBytes } from 'node:crypto';
import type { RemoteInfo } from 'node:dgram';
import { isLoopback, type UdpSocket } from '../../net/datagrams/udp.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import type { FramePath } from '../../protocol/datagrams/writer.js';
import {
  ASSOCIATION_BYTES,
  associationOf,
  PACKET_OVERHEAD,
  PacketOpener,
  PacketSealer,
} from '../../protocol/datagrams/packets.js';
import { LIMITS } from '../../protocol/limits.js';
import { bindOnAllHosts, type ListenHost } from '../public-port/listen.js';
import type { PacketForwarding } from './forwarding.js';

type PacketSource = Pick<RemoteInfo, 'address' | 'port'>;

/** Where packets of an agent arrive: a socket of this node, or of another one. Replies leave from it. */
interface Entrance {
  readonly node: string | undefined;
  readonly socket: number;
}

/** An agent's encrypted UDP path to this relay. Its address is known once a packet is authenticated. */
export class UdpAssociation implements FramePath {
  readonly carrier = 'udp';
  readonly #hub: DatagramHub;
  readonly #sealer: PacketSealer;
  readonly #opener: PacketOpener;
  readonly #key: string;
  readonly #onFrames: (frames: Buffer) => void;
  #address: string | undefined;
  #port = 0;
  #entrance: Entrance = { node: undefined, socket: 0 };
  #maxBytes = LIMITS.maxPacketBytes - PACKET_OVERHEAD;

  constructor(
    hub: DatagramHub,
    keys: { secret: Buffer; association: Buffer },
    onFrames: (frames: Buffer) => void,
  ) {
    this.#hub = hub;
    this.#sealer = new PacketSealer({ ...keys, direction: 'relay to agent' });
    this.#opener = new PacketOpener({ ...keys, direction: 'agent to relay' });
    this.#key = keys.association.toString('latin1');
    this.#onFrames = onFrames;
    hub.add(this.#key, this);
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  send(frames: Buffer): boolean {
    if (this.#address === undefined) return false;
    const to = { address: this.#address, port: this.#port };
    return this.#hub.send(this.#sealer.seal(frames), to, this.#entrance);
  }

  close(): void {
    this.#hub.remove(this.#key);
    this.#address = undefined;
  }

  receive(packet: Buffer, { address, port }: PacketSource, entrance: Entrance, drops: Drops): void {
    const frames = this.#opener.open(packet);
    if (typeof frames === 'string') return drops.add(frames);
    // Only the newest packet updates the agent's address: a delayed one must not.
    if (this.#opener.newest) {
      this.#address = address;
      this.#port = port;
      this.#entrance = entrance;
      this.#maxBytes =
        (isLoopback(address) ? LIMITS.maxLoopbackPacketBytes : LIMITS.maxPacketBytes) - PACKET_OVERHEAD;
    }
    this.#onFrames(frames);
  }
}

/** The relay's UDP sockets for agents, one per address. It replies only to authenticated packets. */
export class DatagramHub {
  readonly #sockets: readonly UdpSocket[];
  readonly #drops: Drops;
  readonly #forwarding: PacketForwarding | undefined;
  readonly #associations = new Map<string, UdpAssociation>();

  private constructor(sockets: readonly UdpSocket[], drops: Drops, forwarding: PacketForwarding | undefined) {
    this.#sockets = sockets;
    this.#drops = drops;
    this.#forwarding = forwarding;
    for (const [index, socket] of sockets.entries()) {
      socket.onMessage((packet, from) => this.#receive(packet, from, index));
      // A permanently unreachable agent is noticed by its silence.
      socket.onFailed(() => drops.add('unreachable'));
      socket.onOverrun((count) => {
        if (forwarding?.countsOverruns !== false) drops.add('receive_buffer', count);
      });
    }
    forwarding?.serve(
      ({ packet, socket, ...source }, from) => {
        const entrance = { node: forwarding.exitOf(from), socket };
        if (!this.#receiveOwn(bytesOf(packet), source, entrance)) drops.add('malformed');
      },
      ({ packet, socket, address, port }) => void this.#sockets[socket]?.send(bytesOf(packet), port, address),
    );
  }

  /** Opens the UDP port with this number; with `forwarding`, all nodes share it. Rejects if it is in use. */
  static async open(
    hosts: readonly ListenHost[],
    port: number,
    { drops, forwarding }: { readonly drops: Drops; readonly forwarding?: PacketForwarding | undefined },
  ): Promise<DatagramHub> {
    const sockets = await bindOnAllHosts(hosts, port, { shared: forwarding !== undefined });
    return new DatagramHub(sockets, drops, forwarding);
  }

  /** The id of a new association. */
  newAssociation(): Buffer {
    const association = randomBytes(ASSOCIATION_BYTES);
    this.#forwarding?.mark(association);
    return association;
  }

  get port(): number {
    return this.#sockets[0]!.port;
  }

  get size(): number {
    return this.#associations.size;
  }

  add(key: string, association: UdpAssociation): void {
    this.#associations.set(key, association);
  }

  remove(key: string): void {
    this.#associations.delete(key);
  }

  close(): void {
    this.#associations.clear();
    for (const socket of this.#sockets) socket.close();
  }

  /** Sends a packet to an agent. False if it is dropped. */
  send(packet: readonly Buffer[], { address, port }: PacketSource, { node, socket }: Entrance): boolean {
    if (node !== undefined && this.#forwarding)
      return this.#forwarding.reply(node, { packet: Buffer.concat(packet), address, port, socket });
    return this.#sockets[socket]?.send(packet, port, address) ?? false;
  }

  #receive(packet: Buffer, { address, port }: RemoteInfo, socket: number): void {
    if (this.#receiveOwn(packet, { address, port }, { node: undefined, socket })) return;
    const key = associationOf(packet);
    const isElsewhere =
      key !== undefined && this.#forwarding?.forward(key, { packet, address, port, socket }) === true;
    if (!isElsewhere) this.#drops.add('malformed');
  }

  /** False if this node does not have the association. */
  #receiveOwn(packet: Buffer, from: PacketSource, entrance: Entrance): boolean {
    const key = associationOf(packet);
    const association = key === undefined ? undefined : this.#associations.get(key);
    association?.receive(packet, from, entrance, this.#drops);
    return association !== undefined;
  }
}

/** A packet from another node, without a copy. */
function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
