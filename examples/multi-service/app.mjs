/** A frontend and an API on two servers. Run: node app.mjs */
import { createServer } from 'node:http';

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Two services, one URL</title>
<h1>Items</h1><ul id="items"></ul>
<script type="module">
  const items = await (await fetch('/api/items')).json();
  for (const item of items) document.getElementById('items').append(Object.assign(document.createElement('li'), { textContent: item }));
</script>
</html>
`;

const web = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
});
const api = createServer((request, response) => {
  if (request.url !== '/items') return void response.writeHead(404).end();
  response
    .writeHead(200, { 'content-type': 'application/json', 'x-env': request.headers['x-env'] ?? '' })
    .end(JSON.stringify(['one', 'two']));
});

const listen = (server, port) =>
  new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server.address().port)));
const ports = [
  await listen(web, Number(process.env.WEB_PORT ?? 3000)),
  await listen(api, Number(process.env.API_PORT ?? 3001)),
];
console.log(`listening on ${ports.join(' and ')}`);
