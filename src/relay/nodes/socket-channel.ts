import type { Socket } from 'node:net';
import { deserialize, serialize } from 'node:v8';
import type { Channel } from '../../lib/calls.js';

const LENGTH_BYTES = 4;
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** A node that does not read its messages is disconnected. */
const MAX_BACKLOG_BYTES = 32 * 1024 * 1024;

/**
 * A channel over a connection between two nodes. Each message is a length of 4 bytes, then the value as V8 serializes it,
 * whose format newer versions of Node read too. Closes at an invalid message.
 */
export class SocketChannel implements Channel {
  readonly #socket: Socket;
  readonly #listeners: ((message: unknown) => void)[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;
  #need = LENGTH_BYTES;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    // Neither side sends more after its end.
    socket.on('end', () => socket.destroy());
    socket.on('error', () => undefined);
    socket.resume();
  }

  send(message: unknown): void {
    if (this.#socket.destroyed) return;
    if (this.#socket.writableLength > MAX_BACKLOG_BYTES) return void this.#socket.destroy();
    const body = serialize(message);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(body.length);
    this.#socket.write(Buffer.concat([length, body]));
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listeners.push(listener);
  }

  onClose(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#need && !this.#socket.destroyed) {
      // Many messages in one chunk must not copy the rest for each.
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      const length = all.readUInt32BE();
      if (length > MAX_MESSAGE_BYTES) return void this.#socket.destroy();
      const end = LENGTH_BYTES + length;
      if (all.length < end) {
        this.#chunks = [all];
        this.#need = end;
        return;
      }
      const rest = all.subarray(end);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#bytes = rest.length;
      this.#need = LENGTH_BYTES;
      this.#deliver(all.subarray(LENGTH_BYTES, end));
    }
  }

  #deliver(body: Buffer): void {
    let message: unknown;
    try {
      message = deserialize(body);
    } catch {
      return void this.#socket.destroy();
    }
    for (const listener of this.#listeners) listener(message);
  }
}
