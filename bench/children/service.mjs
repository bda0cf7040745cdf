import { createServer } from 'node:net';
import { options, tell } from './lib.mjs';

/**
 * The local service. It does the least work per request that HTTP/1.1 allows, so that the benchmark measures the path.
 *   GET /stream  sends bytes without end      PUT /sink  reads bytes without end      anything else  "ok"
 */

const CHUNK = Buffer.alloc(256 * 1024, 'portal');
const OK = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok');
const BYE = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
);
const ENDLESS = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);

const server = createServer({ noDelay: true, highWaterMark: 1024 * 1024 }, (socket) => {
  let pending = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', function requests(chunk) {
    pending += chunk.latin1Slice();
    for (let end; (end = pending.indexOf('\r\n\r\n')) >= 0;) {
      const head = pending.slice(0, end);
      pending = pending.slice(end + 4);
      if (head.startsWith('GET /stream')) return stream(socket);
      if (head.startsWith('PUT /sink')) {
        socket.off('data', requests);
        return void socket.resume();
      }
      if (/^connection: close/im.test(head)) return void socket.end(BYE);
      socket.write(OK);
    }
  });
});

function stream(socket) {
  const more = () => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.write(ENDLESS);
  socket.on('drain', more);
  more();
}

server.listen({ host: '127.0.0.1', port: options.port ?? 0, backlog: 4096 }, () =>
  tell({ port: server.address().port }),
);
