import type { Socket } from 'node:net';

/** Opens a connection to one target, offering this version of HTTP where it speaks TLS. Rejects as `connectTarget`. */
export type Dial = (alpn: 'h2' | 'http/1.1') => Promise<Socket>;

/** The target took the connection, and then did not speak as it must. */
export class UpstreamError extends Error {}

export type Dialled = [error: null, socket: Socket] | [error: Error, socket: null];

/** The same for those who take a callback. */
export function dialBack(dial: Dial, callback: (...dialled: Dialled) => void): void {
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
