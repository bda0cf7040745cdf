import type { WebSocket } from 'ws';

/**
 * The `ws` carrier of datagrams, the same on both ends: each binary message is what a packet would hold. Where
 * the other end does not take more, messages are dropped as UDP would, never queued without bound.
 */
export class WebSocketFrames {
  readonly carrier = 'ws';
  readonly maxBytes: number;
  readonly #ws: WebSocket;
  readonly #maxBacklogBytes: number;

  constructor(
    ws: WebSocket,
    bounds: { readonly maxBytes: number; readonly maxBacklogBytes: number },
    on: { readonly frames: (frames: Buffer) => void; readonly closed: () => void },
  ) {
    this.#ws = ws;
    this.maxBytes = bounds.maxBytes;
    this.#maxBacklogBytes = bounds.maxBacklogBytes;
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
    // A copy: it waits in the socket, and the caller uses its buffer again.
    ws.send(Buffer.from(frames), { binary: true });
    return true;
  }

  close(): void {
    this.#ws.terminate();
  }
}
