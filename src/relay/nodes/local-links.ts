import { timingSafeEqual } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { dialHop } from '../hops/dial.js';
import { listening } from '../../net/listen/listening.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { acceptLink, openLink, type Forwarded, type Link, type Links, type TakeForwarded } from './links.js';
import type { Nodes } from './nodes.js';

const HOST = '127.0.0.1';

/**
 * Connections between nodes on one machine, over its loopback: unlike a Unix socket, TCP carries a reset. Only who knows
 * `secret` can open one, since every program of this machine can connect to the port.
 */
export class LocalLinks implements Links {
  readonly #nodes: Nodes;
  readonly #secret: string;
  readonly #server: Server;
  readonly #ports = new Map<string, number>();
  #take: ((forwarded: Forwarded) => TakeForwarded | undefined) | undefined;

  private constructor(nodes: Nodes, secret: string) {
    this.#nodes = nodes;
    this.#secret = secret;
    const options = { allowHalfOpen: true, noDelay: true, highWaterMark: SOCKET_BUFFER_BYTES };
    this.#server = createServer(options, (socket) => this.#accept(socket));
    nodes.onLeft((node) => this.#ports.delete(node));
  }

  /** `secret` is the same at all nodes of this relay, and differs from start to start. */
  static async open(nodes: Nodes, secret: string): Promise<Links> {
    const links = new LocalLinks(nodes, secret);
    // Not shared with other processes of a cluster.
    await listening(links.#server, () => links.#server.listen({ host: HOST, port: 0, exclusive: true }));
    const { port } = links.#server.address() as AddressInfo;
    nodes.serve({ linkPort: () => port });
    return links;
  }

  async connect(node: string, forwarded: Forwarded): Promise<Link> {
    let port = this.#ports.get(node);
    if (port === undefined) {
      port = (await this.#nodes.call(node, 'linkPort')) as number;
      this.#ports.set(node, port);
    }
    const socket = await dialHop(HOST, port);
    socket.on('error', () => undefined);
    return openLink(socket, { proof: this.#secret, ...forwarded });
  }

  accept(take: (forwarded: Forwarded) => TakeForwarded | undefined): void {
    this.#take = take;
  }

  close(): void {
    this.#server.close();
  }

  #accept(socket: Socket): void {
    acceptLink(socket, ({ proof, ...forwarded }) =>
      this.#isSecret(proof) ? this.#take?.(forwarded as unknown as Forwarded) : undefined,
    );
  }

  #isSecret(proof: unknown): boolean {
    const [shown, secret] = [Buffer.from(String(proof)), Buffer.from(this.#secret)];
    return shown.length === secret.length && timingSafeEqual(shown, secret);
  }
}
