import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { cpuSeconds, options, tell } from './lib.mjs';

/**
 * Visitors one after the other, `concurrency` of them in parallel. Each connects, does a handshake, one request and
 * one response, and closes. With `resume`, each next visitor resumes the TLS session of the previous one.
 */

const { port, servername, caFile, seconds, concurrency, resume = false } = options;
const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n';
const secureContext = servername && createSecureContext({ ca: readFileSync(caFile) });

let visits = 0;
let resumed = 0;
let failures = 0;
let stopped = false;

function line() {
  let session;
  const next = () => {
    if (stopped) return;
    let answered = false;
    const socket = servername
      ? connectTls({ host: '127.0.0.1', port, servername, secureContext, session })
      : connectPlain({ host: '127.0.0.1', port });
    if (resume) socket.on('session', (ticket) => (session = ticket));
    let reused = false;
    socket.on(servername ? 'secureConnect' : 'connect', () => {
      reused = servername !== undefined && socket.isSessionReused();
      socket.write(REQUEST);
    });
    socket.on('data', () => (answered = true));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (answered) visits++;
      else failures++;
      if (answered && reused) resumed++;
      next();
    });
  };
  next();
}

for (let index = 0; index < concurrency; index++) line();
setTimeout(() => {
  const first = { visits, resumed, failures, cpu: cpuSeconds(), at: performance.now() };
  tell({ started: true });
  setTimeout(() => {
    stopped = true;
    tell({
      done: true,
      visits: visits - first.visits,
      resumed: resumed - first.resumed,
      failures: failures - first.failures,
      seconds: (performance.now() - first.at) / 1000,
      cpuSeconds: cpuSeconds() - first.cpu,
    });
    process.exit(0);
  }, seconds * 1000);
}, 500);
