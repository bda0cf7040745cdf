import type { Socket } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { deadline } from '../../lib/wait.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { PlainTicket } from '../tickets/shown-ticket.js';

/** A visitor that another node forwards: the lease that it visits, and where it comes from. */
export interface ForwardedVisitor {
  readonly place: string;
  readonly epoch: number;
  readonly carrier: WireCarrier;
  readonly remote: { readonly address: string; readonly port: number };
}

/** An agent's request for the WebSocket of its datagrams, which another node forwards. */
export interface ForwardedDatagrams {
  readonly ticket: PlainTicket;
  /** `Sec-WebSocket-Key`. */
  readonly key: string;
}

/** What a connection between two nodes carries. */
export type Forwarded = { readonly visitor: ForwardedVisitor } | { readonly datagrams: ForwardedDatagrams };

/** Takes a connection from another node. */
export interface TakeForwarded {
  (socket: Socket): void;
  /** Called if the other node does not start the connection. */
  readonly onCancelled?: () => void;
}

/** A connection to another node, which waits for it to start. */
export interface Link {
  /** Lets the other node begin with what is forwarded. Returns the stream for its bytes. */
  start(): Socket;
  /** Closes it, as if it had not been opened. */
  destroy(): void;
}

/** Connections between nodes. Each carries one visitor, or the datagrams of one session, to the node with the session. */
export interface Links {
  /** Opens a connection to another node. Rejects if that node does not take it. */
  connect(node: string, forwarded: Forwarded): Promise<Link>;
  /** Calls `take` for each connection from another node. It returns undefined for a lease or a ticket that this node does not have. */
  accept(take: (forwarded: Forwarded) => TakeForwarded | undefined): void;
  /** Accepts no more connections. */
  close(): void;
}

/**
 * The first bytes of a connection between nodes: a length of 4 bytes, then JSON. The other node responds with one byte, and begins
 * when it receives one byte more. Then both sides forward bytes.
 */
const LENGTH_BYTES = 4;
const MAX_OPENING_BYTES = 4_096;
const REFUSED = 0;
/** It has begun already: one of the two nodes has an older version, without START. */
const BEGUN = 1;
const WAITS = 2;
const START = Buffer.of(1);

/** How long the other node may take for its part. */
export const LINK_MS = 2_000;

/** Tells the node at the other end what `socket` is for. Resolves once that node takes it. */
export function openLink(socket: Socket, opening: object): Promise<Link> {
  const json = Buffer.from(JSON.stringify({ ...opening, starts: true }));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length);
  socket.write(Buffer.concat([length, json]));
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      late();
      socket.off('data', onData).off('close', onClose).off('end', onClose);
    };
    const fail = (error: Error): void => {
      leave();
      socket.destroy();
      reject(error);
    };
    const onClose = (): void => fail(new PortalError('relay_busy', 'the other node closed the connection'));
    const onData = (bytes: Buffer): void => {
      socket.pause();
      if (bytes[0] !== BEGUN && bytes[0] !== WAITS)
        return fail(new PortalError('not_found', 'the other node does not take the connection'));
      if (bytes.length > 1) socket.unshift(bytes.subarray(1));
      leave();
      resolve(new OpenedLink(socket, bytes[0] === WAITS));
    };
    const late = deadline(LINK_MS, () =>
      fail(new PortalError('relay_busy', 'the other node does not respond')),
    );
    socket.on('data', onData).on('close', onClose).on('end', onClose);
  });
}

class OpenedLink implements Link {
  readonly #socket: Socket;
  readonly #waits: boolean;

  constructor(socket: Socket, waits: boolean) {
    this.#socket = socket;
    this.#waits = waits;
  }

  start(): Socket {
    if (this.#waits) this.#socket.write(START);
    return this.#socket;
  }

  destroy(): void {
    resetSocket(this.#socket);
  }
}

/** Reads the opening of a connection from another node. Once that node starts it, what `take` returned gets the connection. */
export function acceptLink(
  socket: Socket,
  take: (opening: Record<string, unknown>) => TakeForwarded | undefined,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  let taking: TakeForwarded | undefined;
  const late = deadline(LINK_MS, () => socket.destroy());
  const leave = (): void => {
    late();
    socket.off('data', onData).off('end', onEnd).off('close', onClose);
  };
  const onClose = (): void => {
    leave();
    taking?.onCancelled?.();
  };
  const begin = (begun: TakeForwarded, rest: Buffer): void => {
    leave();
    socket.pause();
    if (rest.length > 0) socket.unshift(rest);
    begun(socket);
  };
  const onEnd = (): void => void socket.destroy();
  const onData = (chunk: Buffer): void => {
    if (taking) return begin(taking, chunk.subarray(START.length));
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < LENGTH_BYTES) return;
    const length = bytes.readUInt32BE();
    if (length > MAX_OPENING_BYTES || bytes.length > LENGTH_BYTES + length) return void socket.destroy();
    if (bytes.length < LENGTH_BYTES + length) return;
    const { starts, ...opening } = readOpening(bytes.subarray(LENGTH_BYTES)) ?? {};
    taking = take(opening);
    if (!taking) {
      leave();
      return void socket.end(Buffer.of(REFUSED));
    }
    socket.write(Buffer.of(starts === true ? WAITS : BEGUN));
    if (starts !== true) begin(taking, Buffer.alloc(0));
  };
  socket.on('error', () => undefined);
  socket.on('close', onClose);
  socket.on('data', onData).on('end', onEnd);
}

function readOpening(json: Buffer): Record<string, unknown> | undefined {
  try {
    const opening: unknown = JSON.parse(json.toString());
    return typeof opening === 'object' && opening !== null ? { ...opening } : undefined;
  } catch {
    return undefined;
  }
}
