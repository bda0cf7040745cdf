import { readFileSync } from 'node:fs';
import { connect, createSecureContext } from 'node:tls';
import { randomFrom, pick } from '../../scripts/fuzz/chance.mjs';
import { options, tell } from './lib.mjs';

/**
 * New visitors of `hostnames`, one after another, at each of `ports` in turns. Reports for each port how many milliseconds
 * passed from connecting to the first byte of the response.
 */

const { ports, hostnames, caFile, visits, seed } = options;
const secureContext = createSecureContext({ ca: readFileSync(caFile) });
const random = randomFrom(seed);

const visit = (port, servername) =>
  new Promise((resolve, reject) => {
    const begunAt = performance.now();
    const socket = connect({ host: '127.0.0.1', port, servername, secureContext });
    socket.once('secureConnect', () =>
      socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`),
    );
    socket.once('data', () => {
      resolve(performance.now() - begunAt);
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('end', () => reject(new Error(`no response from ${servername}`)));
  });

const times = ports.map(() => []);
try {
  for (let round = 0; round < visits; round++)
    for (const [index, port] of ports.entries())
      times[index].push(await visit(port, pick(random, hostnames)));
  tell({ done: true, times });
} catch (error) {
  tell({ error: error.message });
}
process.exit(0);
