import type { Socket } from 'node:net';

/** Connects to one target. Offers this version of HTTP in ALPN if the target speaks TLS. Rejects like `connectTarget`. */
export type Dial = (alpn: 'h2' | 'http/1.1') => Promise<Socket>;

/** The target accepted the connection, but violated the protocol. */
export class UpstreamError extends Error {}

export type Dialled = [error: null, socket: Socket] | [error: Error, socket: null];

/** The same with a callback. */
export function dialWithCallback(dial: Dial, callback: (...dialled: Dialled) => void): void {
  void (async () => {
    let dialled: Dialled;
    try {
      dialled = [null, await dial('http/1.1')];
    } catch (error) {
      dialled = [error as Error, null];
    }
    callback(...dialled);
  })();
}
