import { readFileSync } from 'node:fs';
import { connect, createSecureContext } from 'node:tls';
import { options, tell } from './lib.mjs';

/** On each line of standard input, visits each of `hostnames` in turn, each until it gets a response. */

const { port, hostnames, caFile } = options;
const EVERY_MS = 2;
/** A visit that a starting agent does not answer. */
const VISIT_MS = 1_000;
const secureContext = createSecureContext({ ca: readFileSync(caFile) });

const pause = () => new Promise((resolve) => setTimeout(resolve, EVERY_MS));

function isServed(servername) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, secureContext, timeout: VISIT_MS });
    const settle = (served) => {
      socket.destroy();
      resolve(served);
    };
    socket.once('secureConnect', () => socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\n\r\n`));
    socket.once('data', (response) => settle(response.toString('latin1').startsWith('HTTP/1.1 200')));
    for (const end of ['error', 'close', 'timeout']) socket.on(end, () => settle(false));
  });
}

process.stdin.on('data', async () => {
  for (const hostname of hostnames) while (!(await isServed(hostname))) await pause();
  tell({ served: true });
});
tell({ ready: true });
