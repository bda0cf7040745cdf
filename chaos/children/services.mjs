import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { createInterface } from 'node:readline';
import { pattern } from '../lib/pattern.mjs';

/**
 * The local services of one agent: echoes over TCP, HTTP and UDP. Prints {ports}. On {count: true} from standard input
 * it prints how many connections are open.
 */

const CHUNK_BYTES = 10_240;
const CHUNK_EVERY_MS = 250;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});

const http = createServer((request, response) => {
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  const { pathname, searchParams } = new URL(request.url, 'http://chaos');
  if (pathname === '/stream') {
    stream(response, searchParams);
    return;
  }
  // A complete body, so that the visitor can distinguish a wrong response from a truncated one.
  const parts = [];
  request.on('data', (chunk) => parts.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    response.writeHead(200, { 'content-length': body.length, 'x-id': request.headers['x-id'] ?? '' });
    response.end(body);
  });
});

/** A slow download: `bytes` of the pattern of stream `id`. */
function stream(response, query) {
  const [id, bytes] = [Number(query.get('id')), Number(query.get('bytes'))];
  response.writeHead(200, { 'content-length': bytes });
  let sent = 0;
  const timer = setInterval(() => {
    if (response.writableNeedDrain) return;
    const length = Math.min(CHUNK_BYTES, bytes - sent);
    response.write(pattern(id, sent, length));
    sent += length;
    if (sent < bytes) return;
    clearInterval(timer);
    response.end();
  }, CHUNK_EVERY_MS);
  response.once('close', () => clearInterval(timer));
}

const udp = createSocket('udp4');
udp.on('message', (payload, from) => udp.send(payload, from.port, from.address));

await Promise.all([
  new Promise((resolve) => tcp.listen(0, '127.0.0.1', resolve)),
  new Promise((resolve) => http.listen(0, '127.0.0.1', resolve)),
  new Promise((resolve) => udp.bind(0, '127.0.0.1', resolve)),
]);
say({ ports: { tcp: tcp.address().port, http: http.address().port, udp: udp.address().port } });

createInterface({ input: process.stdin })
  .on('line', () => {
    tcp.getConnections((_error, tcpCount) =>
      http.getConnections((__error, httpCount) => say({ connections: { tcp: tcpCount, http: httpCount } })),
    );
  })
  .on('close', () => process.exit(0));
