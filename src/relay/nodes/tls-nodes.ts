import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Identity } from '../../identity/identity.js';
import { Caller, serveCalls } from '../../lib/calls.js';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay, within } from '../../lib/wait.js';
import { secure } from '../../net/dial.js';
import { lingerBelow } from '../../net/splice/linger.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import { dialHop } from '../hops/dial.js';
import {
  acceptLink,
  LINK_MS,
  openLink,
  type Forwarded,
  type Link,
  type Links,
  type TakeForwarded,
} from './links.js';
import { ServedMethods } from './methods.js';
import { nodeKeyOf, type NodeKey } from './node-key.js';
import { nodeLeft, type NodeMethods, type Nodes } from './nodes.js';
import { SocketChannel } from './socket-channel.js';

/** Which other nodes run, and where each is reached: HOST:PORT. */
export interface Membership {
  names(): Iterable<string>;
  addressOf(node: string): string | undefined;
  onLeft(listener: (node: string) => void): void;
}

export interface TlsNodesOptions {
  readonly identity: Identity;
  /** Where this node listens for the others. Port 0: any. */
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
}

/** What a connection between two nodes is for. A node that dialled another one by mistake must notice. */
interface OwnOpening {
  readonly from: string;
  readonly to: string;
}
/** Without what is forwarded, the connection carries calls. */
type Opening = OwnOpening & (Forwarded | object);

const ALPN = 'portal-node/1';
const MAX_CONNECTIONS = 10_000;
/** After a failure, calls to that node fail for this long without another attempt. */
const RETRY_MS = 500;

/**
 * The other nodes of a relay on several machines, over mutual TLS: every node has the key that belongs to the identity of the
 * relay. One connection from each node to each other one carries calls; everything forwarded has its own.
 */
export class TlsNodes implements Nodes, Links {
  readonly #options: TlsNodesOptions;
  readonly #key: NodeKey;
  readonly #server: Server;
  readonly #methods = new ServedMethods();
  /** Connections for the calls of this node, by node. */
  readonly #callers = new Map<string, Promise<Caller>>();
  readonly #sockets = new Set<Socket>();
  readonly #lostListeners: ((node: string) => void)[] = [];
  #self = '';
  #membership: Membership | undefined;
  #take: ((forwarded: Forwarded) => TakeForwarded | undefined) | undefined;

  private constructor(options: TlsNodesOptions) {
    this.#options = options;
    this.#key = nodeKeyOf(options.identity);
    this.#server = createServer(
      {
        ...this.#tls(),
        requestCert: true,
        handshakeTimeout: LINK_MS,
        highWaterMark: SOCKET_BUFFER_BYTES,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 10_000,
      },
      (socket) => this.#arrived(socket),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Listens for other nodes. */
  static async listen(options: TlsNodesOptions): Promise<TlsNodes> {
    const nodes = new TlsNodes(options);
    nodes.#server.listen({ host: options.host, port: options.port, exclusive: true });
    await once(nodes.#server, 'listening');
    nodes.#server.on('error', (error) => options.log.warn({ err: error }, 'cannot accept another node'));
    return nodes;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Call when this node has joined the others as `self`. */
  join(self: string, membership: Membership): void {
    this.#self = self;
    this.#membership = membership;
    membership.onLeft((node) => {
      const caller = this.#callers.get(node);
      this.#callers.delete(node);
      caller?.then((connected) => connected.close()).catch(() => undefined);
    });
  }

  /** Call when everything is served: until then, calls of other methods wait. */
  started(): void {
    this.#methods.started();
  }

  get others(): Iterable<string> {
    return this.#membership?.names() ?? [];
  }

  async call(node: string, method: string, ...args: readonly unknown[]): Promise<unknown> {
    return (await this.#callerOf(node)).call('run', method, args);
  }

  tell(node: string, method: string, ...args: readonly unknown[]): void {
    this.#callerOf(node).then(
      (caller) => caller.tell('run', method, args),
      () => undefined,
    );
  }

  serve(methods: NodeMethods): void {
    this.#methods.serve(methods);
  }

  onLeft(listener: (node: string) => void): void {
    this.#lostListeners.push(listener);
    this.#membership?.onLeft(listener);
  }

  async connect(node: string, forwarded: Forwarded): Promise<Link> {
    const { socket, link } = await this.#open(node, forwarded);
    lingerBelow(socket, LIMITS.carrierLingerMs);
    return link;
  }

  accept(take: (forwarded: Forwarded) => TakeForwarded | undefined): void {
    this.#take = take;
  }

  /** Accepts no more connections. Calls and forwarded visitors continue. */
  close(): void {
    this.#server.close();
  }

  /** Ends every connection. Calls open new ones. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends everything. */
  destroy(): void {
    this.close();
    this.disconnect();
  }

  #tls() {
    const { key, cert } = this.#key;
    // Both ends compare keys instead: no CA knows the certificate.
    return {
      key,
      cert,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [ALPN],
      allowHalfOpen: true,
    } as const;
  }

  #callerOf(node: string): Promise<Caller> {
    const known = this.#callers.get(node);
    if (known) return known;
    const caller = this.#connectCaller(node, () => {
      if (this.#callers.get(node) === caller) this.#callers.delete(node);
    });
    this.#callers.set(node, caller);
    return caller;
  }

  /** `forget` makes the next call open another connection. */
  async #connectCaller(node: string, forget: () => void): Promise<Caller> {
    try {
      const { link } = await this.#open(node, {});
      const channel = new SocketChannel(link.start());
      channel.onClose(() => {
        forget();
        for (const listener of this.#lostListeners) listener(node);
      });
      return new Caller(channel, undefined, nodeLeft(node).message);
    } catch (error) {
      void delay(RETRY_MS).then(forget);
      this.#options.log.warn({ node, err: error }, 'cannot reach another node of this relay');
      throw nodeLeft(node);
    }
  }

  /** Opens a connection to another node, which proves that it has the key of this relay. */
  async #open(node: string, forwarded: Forwarded | object): Promise<{ socket: TLSSocket; link: Link }> {
    const address = this.#membership?.addressOf(node);
    if (address === undefined) throw nodeLeft(node);
    const { hostname, port } = new URL(`tcp://${address}`);
    const plain = await dialHop(hostname.replace(/^\[|\]$/g, ''), Number(port));
    const socket = secure(plain, this.#tls());
    this.#track(socket);
    plain.on('error', () => undefined);
    try {
      await within(once(socket, 'secureConnect'), LINK_MS, `the TLS handshake of node ${node}`);
      if (!this.#key.isShared(socket))
        throw new PortalError(
          'unauthorized',
          `${address} is not a node of this relay: it has another identity`,
        );
      const opening: Opening = { ...forwarded, from: this.#self, to: node };
      return { socket, link: await openLink(socket, opening) };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  #arrived(socket: TLSSocket): void {
    this.#track(socket);
    if (!this.#key.isShared(socket)) return void socket.destroy();
    acceptLink(socket, (opening) => this.#taking(opening as unknown as Opening, socket));
  }

  #taking({ from, to, ...forwarded }: Opening, link: TLSSocket): TakeForwarded | undefined {
    if (to !== this.#self || typeof from !== 'string') return undefined;
    if ('visitor' in forwarded || 'datagrams' in forwarded) {
      lingerBelow(link, LIMITS.carrierLingerMs);
      return this.#take?.(forwarded);
    }
    return (socket) => {
      const run = (method: string, args: never[]): unknown => this.#methods.run(from, method, args);
      serveCalls(new SocketChannel(socket), { run });
    };
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
