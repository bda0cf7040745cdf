import { createSocket, type Socket } from 'node:dgram';
import { onTestFinished } from 'vitest';

/** A NAT between agents and a relay's UDP port, whose behaviour a test decides. */
export interface Middlebox {
  /** The address that agents send to. */
  readonly port: number;
  /** Every packet from an agent, and from the relay, oldest first. */
  readonly fromAgent: Buffer[];
  readonly fromRelay: Buffer[];
  /** The fate of a packet. By default each passes once. */
  fate: (packet: Buffer, from: 'agent' | 'relay') => readonly Buffer[];
  /** Changes the port that the relay sees. Packets to the old port are dropped from now on. */
  rebind(): Promise<void>;
  /** Drops every packet from now on. */
  block(): void;
  unblock(): void;
  /** Sends these bytes to the relay, from the NAT's own address or from another address. */
  inject(packet: Buffer, as?: 'agent' | 'stranger'): Promise<void>;
  /** Packets that the relay sent to the other address. */
  readonly toStranger: Buffer[];
}

const send = (socket: Socket, packet: Buffer, port: number): Promise<void> =>
  new Promise((resolve) => socket.send(packet, port, '127.0.0.1', () => resolve()));

export async function middlebox(relayPort: () => number): Promise<Middlebox> {
  const sockets = new Set<Socket>();
  onTestFinished(() => {
    for (const socket of sockets) socket.close();
  });
  const open = async (onMessage: (packet: Buffer, port: number) => void): Promise<Socket> => {
    const socket = createSocket('udp4', (packet, { port }) => onMessage(packet, port));
    sockets.add(socket);
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return socket;
  };
  let blocked = false;
  let agentPort = 0;
  const fromAgent: Buffer[] = [];
  const fromRelay: Buffer[] = [];
  const toStranger: Buffer[] = [];
  const inside = await open((packet, port) => {
    fromAgent.push(packet);
    agentPort = port;
    if (blocked) return;
    for (const each of box.fate(packet, 'agent')) void send(outside, each, relayPort());
  });
  const openOutside = (): Promise<Socket> =>
    open((packet) => {
      fromRelay.push(packet);
      if (blocked) return;
      for (const each of box.fate(packet, 'relay')) void send(inside, each, agentPort);
    });
  let outside = await openOutside();
  const stranger = await open((packet) => toStranger.push(packet));

  const box: Middlebox = {
    port: inside.address().port,
    fromAgent,
    fromRelay,
    toStranger,
    fate: (packet) => [packet],
    async rebind() {
      const former = outside;
      outside = await openOutside();
      sockets.delete(former);
      former.close();
    },
    block: () => (blocked = true),
    unblock: () => (blocked = false),
    inject: (packet, as = 'agent') => send(as === 'agent' ? outside : stranger, packet, relayPort()),
  };
  return box;
}
