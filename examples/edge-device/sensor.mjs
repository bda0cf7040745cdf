/** A device that measures something and listens only on a Unix socket. Run: node sensor.mjs */
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';

const path = process.env.SOCKET ?? './sensor.sock';
const server = createServer((request, response) => {
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ celsius: 20 + Math.sin(Date.now() / 60_000), at: new Date().toISOString() }));
});
// Removes the socket that an earlier run left, for example after a power failure.
rmSync(path, { force: true });
server.listen(path, () => console.log(`listening on ${path}`));
