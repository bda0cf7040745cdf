import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { options, tell } from './lib.mjs';

/** `count` visitors connect at the same moment. Each does a handshake, one request and one response, and closes. */

const { host = '127.0.0.1', port, servername, caFile, count } = options;
const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n';
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

const startedAt = performance.now();
const answeredMs = [];
let failures = 0;

for (let index = 0; index < count; index++) {
  const socket = servername
    ? connectTls({ host, port, servername, secureContext })
    : connectPlain({ host, port });
  let answered = false;
  socket.on(servername ? 'secureConnect' : 'connect', () => socket.write(REQUEST));
  socket.once('data', () => {
    answered = true;
    answeredMs.push(performance.now() - startedAt);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (!answered) failures++;
    if (answeredMs.length + failures === count) finish();
  });
}

function finish() {
  const sorted = answeredMs.toSorted((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  tell({ done: true, failures, p50Ms: at(0.5), lastMs: sorted.at(-1) });
}
