import type { Socket } from 'node:net';
import { resetSocket } from '../splice/reset.js';
import { FrameReader, frameHeader, type FrameType } from './frames.js';
import { VisitSocket, type VisitBelow } from './visit-socket.js';

type Done = (error?: Error | null) => void;

export interface ReusableLimits {
  /** Bytes of one direction of a visit that travel in frames. The rest follows unframed. */
  readonly maxFramedBytes: number;
  /** How long to read on after this side has left, so that its last bytes arrive. */
  readonly lingerMs: number;
}

/** The part of a relay or an agent that has the connection between two visits. */
export interface ReusableOwner {
  /** Handles a frame between visits. The owner calls `destroy` if it does not expect one. */
  control(type: 'start' | 'startRaw' | 'ticket', payload: Buffer): void;
  /** A visit has ended cleanly, and the connection can serve another one. */
  free(): void;
  /** The connection serves no other visit. Called once. */
  closed(): void;
}

/**
 * A connection that serves several visits, one after another. Each visit has its own stream, and ends with an `end` frame in
 * each direction. A reset, an error or unframed bytes use up the connection.
 */
export class ReusableConnection {
  owner: ReusableOwner;
  readonly #carrier: Socket;
  readonly #limits: ReusableLimits;
  readonly #reader = new FrameReader();
  #visit: Visit | undefined;
  #linger: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** The connection belongs to one visit, without frames. */
  #isReleased = false;
  readonly #onData = (chunk: Buffer): void => {
    // What follows a visit that failed is dropped.
    if (this.#isClosed && !this.#visit) return;
    const isFine = this.#reader.read(chunk, (type, payload) => this.#take(type, payload));
    if (!isFine) this.#violated();
    else this.#visit?.handOver();
  };

  /** Takes ownership of `carrier`, which must allow half-open connections. */
  constructor(carrier: Socket, limits: ReusableLimits, owner: ReusableOwner) {
    this.#carrier = carrier;
    this.#limits = limits;
    this.owner = owner;
    carrier.on('error', () => undefined);
    carrier.on('data', this.#onData);
    carrier.on('end', this.#ended);
    if (carrier.closed) queueMicrotask(this.#lost);
    else carrier.on('close', this.#lost);
    carrier.resume();
  }

  /** Whether it serves no other visit. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Begins a visit with the visitor's first bytes, for the relay. */
  start(said: readonly Buffer[]): VisitSocket {
    const length = said.reduce((sum, { length: more }) => sum + more, 0);
    const data = length > 0 ? [frameHeader('data', length), ...said] : [];
    this.#carrier.write(Buffer.concat([frameHeader('start'), ...data]));
    return this.begin(length);
  }

  /** The same for a visit that uses up the connection, without frames. Returns the connection itself. */
  startRaw(said: readonly Buffer[]): Socket {
    this.#carrier.write(Buffer.concat([frameHeader('startRaw'), ...said]));
    return this.release();
  }

  /** Returns the connection itself, paused, for a visit that the relay started without frames. */
  release(): Socket {
    this.#isReleased = true;
    this.#close();
    return this.#carrier.off('data', this.#onData).off('end', this.#ended).off('close', this.#lost).pause();
  }

  /** Begins a visit that the relay started. `framedBytes` were sent already. */
  begin(framedBytes = 0): VisitSocket {
    const visit = new Visit(this.#carrier, this.#limits, framedBytes, {
      over: () => this.#over(visit),
      draining: () => this.#lingers(),
      failed: (isReset) => this.#failed(isReset),
      handedOver: () => this.#carrier.off('data', this.#onData),
    });
    this.#visit = visit;
    return visit.stream;
  }

  /** Shows a ticket for the next visit. */
  show(ticket: string): void {
    this.#carrier.write(Buffer.concat([frameHeader('ticket', ticket.length), Buffer.from(ticket, 'latin1')]));
  }

  /** Closes it in order. */
  close(): void {
    this.#close();
    this.#carrier.end();
    this.#lingers();
  }

  destroy(): void {
    this.#close();
    this.#carrier.destroy();
  }

  #take(type: FrameType, payload: Buffer): boolean {
    const visit = this.#visit;
    // The bytes behind `startRaw` are the visitor's first.
    if (this.#isReleased) this.#carrier.unshift(payload);
    else if (type === 'start' || type === 'startRaw' || type === 'ticket') {
      if (visit) this.#violated();
      else this.owner.control(type, payload);
    } else if (!visit?.take(type, payload)) this.#violated();
    return this.#isReleased || (!this.#isClosed && !this.#carrier.destroyed);
  }

  /** The peer sent what it may not send now. */
  #violated(): void {
    this.#visit?.fail();
    this.destroy();
  }

  /** Both directions of a visit have ended. Its stream may still have bytes for its reader. */
  #over({ isUsedUp }: Visit): void {
    this.#visit = undefined;
    clearTimeout(this.#linger);
    if (isUsedUp || this.#isClosed) return this.close();
    this.#carrier.resume();
    this.owner.free();
  }

  #failed(isReset: boolean): void {
    this.#visit = undefined;
    if (isReset) {
      this.#close();
      resetSocket(this.#carrier);
    } else this.close();
  }

  /** Reads on, since unread bytes would turn a close into a reset. */
  #lingers(): void {
    clearTimeout(this.#linger);
    if (this.#carrier.destroyed) return;
    this.#carrier.resume();
    this.#linger = setTimeout(() => this.#carrier.destroy(), this.#limits.lingerMs);
  }

  /** The peer sends nothing more. During a visit that is a clean end only if its bytes are unframed. */
  readonly #ended = (): void => {
    if (this.#visit?.ended()) return;
    if (!this.#isClosed || this.#visit) this.destroy();
  };

  readonly #lost = (): void => {
    clearTimeout(this.#linger);
    const visit = this.#visit;
    this.#visit = undefined;
    this.#close();
    visit?.lost();
  };

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.owner.closed();
  }
}

interface VisitEvents {
  over(): void;
  /** Its stream was destroyed before the peer's end. */
  draining(): void;
  failed(isReset: boolean): void;
  handedOver(): void;
}

/** One visit of a connection: what was sent and received of it. */
class Visit implements VisitBelow {
  readonly stream: VisitSocket;
  readonly #carrier: Socket;
  readonly #maxFramedBytes: number;
  readonly #on: VisitEvents;
  #framedBytes: number;
  #raw = { in: false, out: false };
  #ends = { in: false, out: false };
  #isOver = false;
  #takeRaw: ((below: Socket) => void) | undefined;
  #isHandedOver = false;

  constructor(carrier: Socket, limits: ReusableLimits, framedBytes: number, on: VisitEvents) {
    this.#carrier = carrier;
    this.#maxFramedBytes = limits.maxFramedBytes;
    this.#framedBytes = framedBytes;
    this.#on = on;
    this.stream = new VisitSocket(this);
  }

  /** Whether the connection cannot serve another visit after this one. */
  get isUsedUp(): boolean {
    return this.#raw.in || this.#raw.out;
  }

  /** Takes a frame from the peer; false if it is not allowed now. */
  take(type: FrameType, payload: Buffer): boolean {
    if (this.#ends.in || (this.#raw.in && type !== 'data')) return false;
    if (type === 'raw') this.#raw.in = true;
    else if (type === 'end') this.#end();
    else if (!this.stream.receive(payload)) this.#carrier.pause();
    return true;
  }

  /** The peer has ended the connection. Returns whether that is the end of the visit's bytes. */
  ended(): boolean {
    if (!this.#raw.in) return false;
    if (!this.#ends.in) this.#end();
    return true;
  }

  /**
   * The connection was lost. If the peer had sent everything, it may have left before this side: the reader still gets
   * everything, however slowly it reads.
   */
  lost(): void {
    if (this.#ends.in) this.#isOver = true;
    else this.fail();
  }

  /** Resets the stream. */
  fail(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stream.destroy(resetError());
  }

  /** Lets the reader of the stream read the connection itself, once nothing more is framed. */
  handOver(): void {
    if (!this.#raw.in || !this.#takeRaw || this.#isHandedOver || this.#isOver) return;
    this.#isHandedOver = true;
    this.#on.handedOver();
    this.#takeRaw(this.#carrier);
  }

  whenRaw(take: (below: Socket) => void): void {
    this.#takeRaw = take;
    this.handOver();
  }

  resume(): void {
    if (!this.#isOver && !this.#isHandedOver) this.#carrier.resume();
  }

  send(chunks: readonly Buffer[], done: Done): void {
    if (this.#isOver) return done(this.#ends.in && !this.stream.readableEnded ? null : resetError());
    const carrier = this.#carrier;
    const length = chunks.reduce((sum, { length: more }) => sum + more, 0);
    if (length === 0) return done();
    this.#framedBytes += length;
    if (!this.#raw.out && this.#framedBytes <= this.#maxFramedBytes)
      return void carrier.write(Buffer.concat([frameHeader('data', length), ...chunks]), done);
    carrier.cork();
    if (!this.#raw.out) carrier.write(frameHeader('raw'));
    this.#raw.out = true;
    for (const chunk of chunks.slice(0, -1)) carrier.write(chunk);
    carrier.write(chunks.at(-1)!, done);
    carrier.uncork();
  }

  end(done: Done): void {
    if (this.#isOver) return done(this.#ends.in ? null : resetError());
    if (this.#raw.out) this.#carrier.end(() => done());
    else this.#carrier.write(frameHeader('end'), done);
    this.#ends.out = true;
    this.#checkOver();
  }

  left(isReset: boolean): void {
    if (this.#isOver) return;
    // Without the peer's end, the rest of what it sends would belong to the next visit.
    if (this.#ends.out && !isReset) return this.#on.draining();
    this.#isOver = true;
    this.#on.failed(isReset);
  }

  #end(): void {
    this.#ends.in = true;
    this.stream.push(null);
    this.#checkOver();
  }

  #checkOver(): void {
    if (!this.#ends.in || !this.#ends.out) return;
    this.#isOver = true;
    this.#on.over();
  }
}

function resetError(): Error {
  return Object.assign(new Error('the data connection was closed during a visit'), { code: 'ECONNRESET' });
}
