import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** Stands for a TCP connection in a test without a network. The test plays its peer. */
export class FakeSocket extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort = 4321;
  readonly connecting = false;
  bytesRead = 0;
  /** Whether the peer saw a reset. */
  wasReset = false;
  readonly #sent: Buffer[] = [];

  constructor(remoteAddress = '192.0.2.1') {
    super({ allowHalfOpen: true });
    this.remoteAddress = remoteAddress;
    this.on('error', () => undefined);
  }

  /** For code that takes a socket of `node:net`. */
  get asSocket(): Socket {
    return this as unknown as Socket;
  }

  /** What the peer received. */
  get sent(): Buffer {
    return Buffer.concat(this.#sent);
  }

  /** Bytes from the peer. */
  receive(bytes: Buffer | string): void {
    const chunk = Buffer.from(bytes);
    this.bytesRead += chunk.length;
    this.push(chunk);
  }

  resetAndDestroy(): this {
    this.wasReset = true;
    return this.destroy();
  }

  override _read(): void {
    // Bytes come from `receive`.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#sent.push(Buffer.from(chunk));
    done();
  }
}
