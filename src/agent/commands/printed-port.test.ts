import { expect, it } from 'vitest';
import { printedPort } from './printed-port.js';

it.each([
  ['  ➜  Local:   http://localhost:5173/', 5173],
  ['   - Local:        http://localhost:3000', 3000],
  ['Starting development server at http://127.0.0.1:8000/', 8000],
  ['INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)', 8000],
  ['* Listening on http://[::1]:3000', 3000],
  ['Example app listening on port 3000', 3000],
  ['listening on 0.0.0.0:8080', 8080],
])('finds the port in %j', (line, port) => {
  expect(printedPort(line)).toBe(port);
});

it.each([
  'GET https://example.com:8443/ 200',
  'http://localhost/',
  'compiled in 3000 ms',
  'port 5432 of the database',
  '10.0.0.1:53 timed out',
])('finds none in %j', (line) => {
  expect(printedPort(line)).toBeUndefined();
});
