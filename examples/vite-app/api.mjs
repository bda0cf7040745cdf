import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const isKnown = request.url === '/items';
  response.writeHead(isKnown ? 200 : 404, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(isKnown ? ['one', 'two'] : { error: 'there is nothing here' }));
});
// Portal chooses the port.
server.listen(Number(process.env.PORT), 'localhost', () =>
  console.log(`public at ${process.env.PORTAL_URL}`),
);
