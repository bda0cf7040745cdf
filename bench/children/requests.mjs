import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { cpuSeconds, options, tell } from './lib.mjs';

/** Requests over `concurrency` kept-alive connections, one at a time on each. Used on machines without wrk. */

const { port, servername, caFile, seconds, concurrency } = options;
const REQUEST = `GET / HTTP/1.1\r\nHost: ${servername ?? 'bench'}\r\n\r\n`;
const OK = Buffer.from('HTTP/1.1 200');
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

let measuring = false;
let failures = 0;
const latencies = [];
for (let index = 0; index < concurrency; index++) {
  const socket = servername
    ? connectTls({ host: '127.0.0.1', port, servername, secureContext })
    : connectPlain({ host: '127.0.0.1', port, noDelay: true });
  let sentAt = 0;
  const ask = () => {
    sentAt = performance.now();
    socket.write(REQUEST);
  };
  socket.on(servername ? 'secureConnect' : 'connect', ask);
  // The response is too short to be split.
  socket.on('data', (chunk) => {
    if (OK.compare(chunk, 0, OK.length) !== 0) failures++;
    if (measuring) latencies.push(performance.now() - sentAt);
    ask();
  });
  socket.on('error', (error) => tell({ error: error.message }));
}
setTimeout(() => {
  const first = { cpu: cpuSeconds(), at: performance.now() };
  measuring = true;
  tell({ started: true });
  setTimeout(() => {
    latencies.sort((a, b) => a - b);
    tell({
      done: true,
      failures,
      requests: latencies.length,
      seconds: (performance.now() - first.at) / 1000,
      p50Ms: latencies[Math.floor(latencies.length * 0.5)],
      p99Ms: latencies[Math.floor(latencies.length * 0.99)],
      cpuSeconds: cpuSeconds() - first.cpu,
    });
    process.exit(0);
  }, seconds * 1000);
}, 500);
