import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { createInterface } from 'node:readline';
import { pattern } from '../lib/pattern.mjs';

/**
 * The local services of one agent: echoes over TCP, HTTP and UDP. Prints {ports}. On {count: true} from standard input
 * it prints how many connections are open. With a name as argument, `namedTcp` and `namedUdp` are echoes that say it first: a
 * connection in a line, each datagram in its first bytes, up to a line feed.
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

const name = Buffer.from(`${process.argv[2]}\n`);
const namedTcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.write(name);
  socket.pipe(socket);
});
const namedUdp = createSocket('udp4');
namedUdp.on('message', (payload, from) =>
  namedUdp.send(Buffer.concat([name, payload]), from.port, from.address),
);

const opened = { tcp, http, udp, ...(process.argv[2] !== undefined && { namedTcp, namedUdp }) };
await Promise.all(
  Object.values(opened).map((server) => {
    const open = server.listen ?? server.bind;
    return new Promise((resolve) => open.call(server, 0, '127.0.0.1', resolve));
  }),
);
say({ ports: Object.fromEntries(Object.entries(opened).map(([key, one]) => [key, one.address().port])) });

createInterface({ input: process.stdin })
  .on('line', () => {
    tcp.getConnections((_error, tcpCount) =>
      http.getConnections((__error, httpCount) => say({ connections: { tcp: tcpCount, http: httpCount } })),
    );
  })
  .on('close', () => process.exit(0));
