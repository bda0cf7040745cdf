import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { cpuSeconds, options, tell } from './lib.mjs';

/**
 * Moves bytes over one connection for a few seconds. Downloads go into one buffer that nothing reads. Of the clients
 * tried, this one costs least (0.71 CPU-s/GB; curl 0.85, openssl s_client 5).
 */

const { port, servername, caFile, seconds, direction } = options;
const CHUNK = Buffer.alloc(256 * 1024, 'portal');
/** Excludes slow start, JIT and the first garbage collection from the measurement. */
const WARM_MS = 500;

let bytes = 0;
const onread = {
  buffer: Buffer.allocUnsafe(1024 * 1024),
  callback: (count) => {
    bytes += count;
    return true;
  },
};
const common = { host: '127.0.0.1', port, highWaterMark: 1024 * 1024, onread };
const socket = servername
  ? connectTls({ ...common, servername, ca: readFileSync(caFile), ALPNProtocols: ['http/1.1'] }, begin)
  : connectPlain({ ...common, noDelay: true }, begin);
socket.on('error', (error) => tell({ error: error.message }));
socket.on('close', () => process.exit(0));

function begin() {
  if (direction === 'down') {
    socket.write('GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n');
  } else {
    socket.write(`PUT /sink HTTP/1.1\r\nHost: bench\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);
    const sent = () => (bytes += CHUNK.length);
    const more = () => {
      while (!socket.destroyed && socket.write(CHUNK, sent));
    };
    socket.on('drain', more);
    more();
  }
  setTimeout(() => {
    const first = { bytes, cpu: cpuSeconds(), at: performance.now() };
    tell({ started: true });
    setTimeout(() => {
      tell({
        done: true,
        bytes: bytes - first.bytes,
        seconds: (performance.now() - first.at) / 1000,
        cpuSeconds: cpuSeconds() - first.cpu,
      });
      socket.destroy();
    }, seconds * 1000);
  }, WARM_MS);
}
