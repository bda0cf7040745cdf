import type { WebSocket } from 'ws';

/**
 * The `ws` carrier of datagrams, the same on both ends: each binary message has the content of one packet. When the peer
 * accepts no more, messages are dropped as in UDP and never queued without limit.
 */
export class WebSocketFrames {
  readonly carrier = 'ws';
  readonly maxBytes: number;
  readonly #ws: WebSocket;
  readonly #maxBacklogBytes: number;

  constructor(
    ws: WebSocket,
    limits: { readonly maxBytes: number; readonly maxBacklogBytes: number },
    on: { readonly frames: (frames: Buffer) => void; readonly closed: () => void },
  ) {
    this.#ws = ws;
    this.maxBytes = limits.maxBytes;
    this.#maxBacklogBytes = limits.maxBacklogBytes;
    ws.on('message', (data: Buffer, isBinary) => {
      if (isBinary) on.frames(data);
      else ws.terminate();
    });
    ws.on('error', () => undefined);
    ws.once('close', on.closed);
  }

  send(frames: Buffer): boolean {
    const ws = this.#ws;
    if (ws.readyState !== ws.OPEN || ws.bufferedAmount > this.#maxBacklogBytes) return false;
    // Copied, because it waits in the socket while the caller reuses its buffer.
    ws.send(Buffer.from(frames), { binary: true });
    return true;
  }

  close(): void {
    this.#ws.terminate();
  }
}
