/** A device that measures something, and answers on a Unix socket alone. Run: node sensor.mjs */
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';

const path = process.env.SOCKET ?? './sensor.sock';
const server = createServer((request, response) => {
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ celsius: 20 + Math.sin(Date.now() / 60_000), at: new Date().toISOString() }));
});
// What a device that lost its power left behind.
rmSync(path, { force: true });
server.listen(path, () => console.log(`listening on ${path}`));
