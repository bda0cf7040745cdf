/**
 * Services in a separate network, and a command besides them: node target-servers.mjs '[{"host":"::1","port":1}]'
 * COMMAND… Each responds with the address that the request came to; with `tls` over TLS. They end with the command.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

const answer = (request, response) => void response.end(`asked at ${request.socket.localAddress}`);

const [servers, command, ...args] = process.argv.slice(2);
for (const { host, port, tls } of JSON.parse(servers)) {
  const server = tls ? createTlsServer(tls, answer) : createServer(answer);
  await new Promise((resolve) => server.listen({ host, port, ipv6Only: true }, resolve));
}
const child = spawn(command, args, { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.once('close', (code, signal) => {
  if (signal) process.stderr.write(`ended by ${signal}\n`);
  process.exit(code ?? 1);
});
