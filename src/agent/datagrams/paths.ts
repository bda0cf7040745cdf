import { WebSocket } from 'ws';
import { PortalError } from '../../lib/errors.js';
import { connectUdp, isLoopback, type UdpSocket } from '../../net/datagrams/udp.js';
import { WebSocketFrames } from '../../net/websocket/frames.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import { PACKET_OVERHEAD, PacketOpener, PacketSealer } from '../../protocol/datagrams/packets.js';
import type { FramePath } from '../../protocol/datagrams/writer.js';
import { DATAGRAMS_SUBPROTOCOL, LIMITS, PATHS } from '../../protocol/limits.js';
import {
  createConnectionTo,
  relayTls,
  destinationOf,
  type RelayEndpoint,
} from '../session/relay-endpoint.js';
import { showing } from '../data/show-ticket.js';

/** The two paths for frames between an agent and its relay. */
export interface DatagramPath extends FramePath {
  readonly carrier: 'udp' | 'ws';
  /** Packets from the relay that have not arrived. */
  readonly missing?: number;
  close(): void;
}

export interface PathEvents {
  readonly frames: (frames: Buffer) => void;
  readonly closed: () => void;
}

export interface UdpKeys {
  readonly secret: Buffer;
  readonly association: Buffer;
}

/** Sealed packets to the relay's UDP port. */
export class UdpPath implements DatagramPath {
  readonly carrier = 'udp';
  readonly maxBytes: number;
  readonly #socket: UdpSocket;
  readonly #sealer: PacketSealer;
  readonly #opener: PacketOpener;

  private constructor(socket: UdpSocket, address: string, keys: UdpKeys, drops: Drops, on: PathEvents) {
    this.#socket = socket;
    this.#sealer = new PacketSealer({ ...keys, direction: 'agent to relay' });
    const opener = new PacketOpener({ ...keys, direction: 'relay to agent' });
    this.#opener = opener;
    this.maxBytes =
      (isLoopback(address) ? LIMITS.maxLoopbackPacketBytes : LIMITS.maxPacketBytes) - PACKET_OVERHEAD;
    socket.onFailed(() => drops.add('unreachable'));
    socket.onOverrun((count) => drops.add('receive_buffer', count));
    socket.onMessage((packet) => {
      const frames = opener.open(packet);
      if (typeof frames === 'string') drops.add(frames);
      else on.frames(frames);
    });
  }

  static async open(
    address: string,
    port: number,
    keys: UdpKeys,
    drops: Drops,
    on: PathEvents,
  ): Promise<UdpPath> {
    return new UdpPath(await connectUdp(address, port), address, keys, drops, on);
  }

  get missing(): number {
    return this.#opener.missing;
  }

  send(frames: Buffer): boolean {
    return this.#socket.send(this.#sealer.seal(frames));
  }

  close(): void {
    this.#socket.close();
  }
}

/** Opens the WebSocket that carries datagrams where plain UDP fails. */
export function openWebSocketPath(
  endpoint: RelayEndpoint,
  relayAddress: string,
  ticket: string,
  on: PathEvents,
): Promise<DatagramPath> {
  const url = new URL(PATHS.datagrams, endpoint.url);
  url.protocol = 'wss:';
  const ws = new WebSocket(url, [DATAGRAMS_SUBPROTOCOL], {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxFramesBytes,
    handshakeTimeout: LIMITS.requestMs,
    followRedirects: false,
    finishRequest: showing(endpoint.url, ticket),
    // Another address may be another relay. Only the one with the control channel, on any of its nodes, knows the ticket.
    createConnection: createConnectionTo(destinationOf(endpoint, relayAddress), (plain) =>
      relayTls(endpoint, plain),
    ) as never,
  });
  const limits = { maxBytes: LIMITS.maxFramesBytes, maxBacklogBytes: LIMITS.maxDatagramBacklogBytes };
  return new Promise((resolve, reject) => {
    ws.once('open', () => {
      ws.removeAllListeners();
      resolve(new WebSocketFrames(ws, limits, on));
    });
    ws.once('error', reject);
    ws.once('close', () =>
      reject(new PortalError('relay_unreachable', 'the relay closed the WebSocket for datagrams')),
    );
  });
}
