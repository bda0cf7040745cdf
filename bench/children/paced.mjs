import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { options, tell } from './lib.mjs';

/** `count` visitors who stay connected. Each sends a request every `everyMs`, at a random offset. */

const { port, servername, caFile, count, seconds, everyMs } = options;
const REQUEST = `GET / HTTP/1.1\r\nHost: ${servername ?? 'bench'}\r\n\r\n`;
const AT_A_TIME = 32;
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

const latencies = [];
let measuring = false;
let begun = 0;
let open = 0;

function next() {
  if (begun === count) return;
  begun++;
  const socket = servername
    ? connectTls({ host: '127.0.0.1', port, servername, secureContext })
    : connectPlain({ host: '127.0.0.1', port, noDelay: true });
  let sentAt = 0;
  const ask = () => {
    sentAt = performance.now();
    socket.write(REQUEST);
  };
  socket.once(servername ? 'secureConnect' : 'connect', ask);
  socket.once('data', () => {
    setTimeout(() => setInterval(ask, everyMs), Math.random() * everyMs);
    if (++open === count) setTimeout(measure, 2 * everyMs);
    next();
  });
  // The response is too short to be split.
  socket.on('data', () => {
    if (measuring) latencies.push(performance.now() - sentAt);
  });
  socket.on('error', (error) => tell({ error: error.message }));
  socket.on('close', () => tell({ error: 'closed' }));
}

function measure() {
  const startedAt = performance.now();
  measuring = true;
  setTimeout(() => {
    measuring = false;
    latencies.sort((a, b) => a - b);
    tell({
      done: true,
      requests: latencies.length,
      seconds: (performance.now() - startedAt) / 1000,
      p50Ms: latencies[Math.floor(latencies.length * 0.5)],
      p99Ms: latencies[Math.floor(latencies.length * 0.99)],
    });
    process.exit(0);
  }, seconds * 1000);
}

for (let index = 0; index < AT_A_TIME; index++) next();
