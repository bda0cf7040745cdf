// An HTTP service and a TCP echo on a separate machine. Prints their ports as one line of JSON, and keeps running.
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';

const http = createHttp((request, response) => response.end(`hello ${request.headers.host}`));
const tcp = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});
http.listen(0, '127.0.0.1', () =>
  tcp.listen(0, '127.0.0.1', () =>
    process.stdout.write(`${JSON.stringify({ http: http.address().port, tcp: tcp.address().port })}\n`),
  ),
);
