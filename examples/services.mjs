/**
 * Tiny sample services: a page on port 3000, a JSON API on port 3001, a UDP echo on port 19132. Replace them with your
 * own.
 * Run: node examples/services.mjs
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const HOST = '127.0.0.1';

const page = (port) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sample service on port ${port}</title>
<style>
  :root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif }
  body { max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }
  code { background: #8883; padding: .1em .4em; border-radius: .3em }
  small { opacity: .7 }
</style>
<h1>It works.</h1>
<p>This page comes from a sample service at <code>127.0.0.1:${port}</code>. You read it at
<code id="here"></code>: your own <code>portal up</code> terminated TLS, and the relay only forwarded
encrypted bytes.</p>
<p><small>Sample of the Portal repository, examples/services.mjs. Replace it with your own service.</small></p>
<script>document.getElementById('here').textContent = location.origin</script>
</html>
`;

const web = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page(web.address().port));
});

const api = createServer((request, response) => {
  const body = {
    service: 'sample api',
    port: api.address().port,
    method: request.method,
    path: request.url,
    time: new Date(),
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
});

/** Sends each datagram back. Try: echo hello | nc -u -w1 127.0.0.1 19132 */
const echo = createSocket('udp4');
echo.on('message', (message, { port, address }) => echo.send(message, port, address));

start('web', web, 3000, (port) => web.listen(port, HOST));
start('api', api, 3001, (port) => api.listen(port, HOST));
start('echo', echo, 19132, (port) => echo.bind(port, HOST));

/** Starts a server on `wanted`. For the demo, which tells `portal up` the port, it moves if that port is in use. */
function start(name, server, wanted, listen) {
  const candidates = [
    wanted,
    ...(process.send ? Array.from({ length: 20 }, (_, at) => wanted + 10 * (at + 1)) : []),
  ];
  let port = candidates.shift();
  server.on('error', (error) => {
    const taken = error.code === 'EADDRINUSE';
    if (taken && candidates.length > 0) return listen((port = candidates.shift()));
    const why = taken
      ? `port ${port} is in use. Stop the program that listens there. To find it: ${finder(port, server === echo)}`
      : error.message;
    process.stderr.write(`sample service ${name}: ${why}\n`);
    process.exit(1);
  });
  server.once('listening', () => {
    const scheme = server === echo ? 'udp' : 'http';
    const moved = port === wanted ? '' : ` (port ${wanted} is in use)`;
    process.stderr.write(`sample service ${name}: ${scheme}://${HOST}:${port}${moved}\n`);
    process.send?.({ wanted, port });
  });
  listen(port);
}

/** The command that shows which program uses a port. */
function finder(port, isUdp) {
  if (process.platform === 'win32') return `netstat -ano | findstr :${port}`;
  if (process.platform === 'darwin') return `lsof -nP -i${isUdp ? 'UDP' : 'TCP'}:${port}`;
  return `ss -${isUdp ? 'u' : 't'}lnp 'sport = :${port}'`;
}

// scripts/demo.mjs waits for this message. The channel's end stops this process.
process.once('disconnect', () => process.exit(0));
