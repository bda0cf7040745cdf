/** A sample site: one page, which search engines do not index. Run: node site.mjs */
import { createServer } from 'node:http';

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Preview</title>
<style>:root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif } body { max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }</style>
<h1>Preview</h1>
<p>What you asked for, as far as it is. Tell us what you think.</p>
</html>
`;

const server = createServer((request, response) => {
  response
    .writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'x-robots-tag': 'noindex' })
    .end(page);
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});
