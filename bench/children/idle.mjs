import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { options, tell } from './lib.mjs';

/** `count` visitors who get one response each and then stay idle until standard input ends. */

const { port, servername, caFile, count } = options;
const AT_A_TIME = 64;
const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n';
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

let begun = 0;
let open = 0;

function next() {
  if (begun === count) return;
  begun++;
  const socket = servername
    ? connectTls({ host: '127.0.0.1', port, servername, secureContext })
    : connectPlain({ host: '127.0.0.1', port });
  socket.on(servername ? 'secureConnect' : 'connect', () => socket.write(REQUEST));
  socket.once('data', () => {
    open++;
    if (open === count) tell({ open });
    next();
  });
  socket.on('error', (error) => tell({ error: error.message }));
  socket.on('close', () => tell({ error: 'closed' }));
}

for (let index = 0; index < AT_A_TIME; index++) next();
