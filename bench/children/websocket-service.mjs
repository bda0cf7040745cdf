import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { options, tell } from './lib.mjs';

/** Echoes every message. Responds with "ok" to a request without an upgrade. */

const server = createServer((_request, response) => response.end('ok'));
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.on('error', () => undefined);
  socket.on('message', (message) => socket.send(message));
});
server.listen({ host: options.host, port: 0, backlog: 4096 }, () => tell({ port: server.address().port }));
