import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

/** The app under test: a page with a button. */
const PAGE = `<!doctype html>
<html lang="en">
  <title>Orders</title>
  <h1>Orders</h1>
  <button>Order tea</button>
  <output></output>
  <script>
    document.querySelector('button').onclick = async () => {
      const response = await fetch('/orders', { method: 'POST', body: JSON.stringify({ item: 'tea' }) });
      document.querySelector('output').textContent = await response.text();
    };
  </script>
</html>
`;

const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    const { item } = await json(request);
    response.end(`ordered ${item}`);
  } else {
    response.setHeader('Content-Type', 'text/html');
    response.end(PAGE);
  }
});
server.listen(process.env.PORT, '127.0.0.1');
