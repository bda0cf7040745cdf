import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { WebSocket } from 'ws';
import { cpuSeconds, options, tell } from './lib.mjs';

/** `connections` WebSockets, each with `inFlight` messages in transit at any time. */

const { port, servername, caFile, seconds, connections, inFlight, bytes } = options;
const MESSAGE = Buffer.alloc(bytes, 'portal');
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

let messages = 0;
let open = 0;
for (let index = 0; index < connections; index++) {
  const socket = new WebSocket(`${servername ? 'wss' : 'ws'}://${servername ?? '127.0.0.1'}:${port}/`, {
    perMessageDeflate: false,
    createConnection: () =>
      servername
        ? connectTls({ host: '127.0.0.1', port, servername, secureContext }).setNoDelay(true)
        : connectPlain({ host: '127.0.0.1', port, noDelay: true }),
  });
  socket.on('message', () => {
    messages++;
    socket.send(MESSAGE);
  });
  socket.on('open', () => {
    open++;
    if (open === connections) setTimeout(measure, 500);
    for (let sent = 0; sent < inFlight; sent++) socket.send(MESSAGE);
  });
  socket.on('error', (error) => tell({ error: error.message }));
  socket.on('close', () => tell({ error: 'closed' }));
}

function measure() {
  const first = { messages, cpu: cpuSeconds(), at: performance.now() };
  tell({ started: true });
  setTimeout(() => {
    tell({
      done: true,
      messages: messages - first.messages,
      seconds: (performance.now() - first.at) / 1000,
      cpuSeconds: cpuSeconds() - first.cpu,
    });
  }, seconds * 1000);
}
