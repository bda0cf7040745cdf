import { randomInt } from 'node:crypto';
import { request } from 'node:https';
import { firstWrong, pattern } from '../lib/pattern.mjs';
import { connectTo, contextOf, joinOf, readService, reasonOf } from './connect.mjs';

/** Longer than a relay queues a visitor for a missing agent (10 s). */
const PATIENCE_MS = 12_000;

/** One short visit on a new connection. Resolves with {error} or {wrong} if it failed, and what `joinOf` tells. */
export function requestOf(lane) {
  return lane.kind === 'http' ? httpRequest(lane) : echo(lane);
}

function echo(lane) {
  const [stream, length] = [randomInt(2 ** 31), randomInt(1, 4_096)];
  return new Promise((resolve) => {
    const socket = connectTo(lane);
    const join = joinOf(socket);
    const timer = setTimeout(() => settle({ error: 'timed out' }), lane.patienceMs ?? PATIENCE_MS);
    let got = 0;
    const settle = (outcome) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...outcome, ...join });
    };
    socket.on('error', (error) => settle({ error: reasonOf(error) }));
    socket.on('close', () => settle({ error: 'closed' }));
    readService(socket, lane, join, (chunk) => {
      const wrong = firstWrong(stream, got, chunk);
      got += chunk.length;
      if (wrong !== undefined || got > length) settle({ wrong: `byte ${wrong ?? length} of ${length}` });
    });
    socket.on('end', () => settle(got === length ? {} : { error: `ended after ${got} of ${length}` }));
    socket.end(pattern(stream, 0, length));
  });
}

function httpRequest({ address, port, hostname, ca, patienceMs = PATIENCE_MS }) {
  const [stream, length] = [randomInt(2 ** 31), randomInt(1, 16_384)];
  const id = `${stream}-${length}`;
  return new Promise((resolve) => {
    const outgoing = request({
      host: address,
      port,
      servername: hostname,
      secureContext: contextOf(ca),
      method: 'POST',
      path: '/echo',
      agent: false,
      headers: { host: `${hostname}:${port}`, 'x-id': id, 'content-length': length },
    });
    let join = {};
    outgoing.once('socket', (socket) => (join = joinOf(socket)));
    const timer = setTimeout(() => settle({ error: 'timed out' }), patienceMs);
    const settle = (outcome) => {
      clearTimeout(timer);
      outgoing.destroy();
      resolve({ ...outcome, ...join });
    };
    outgoing.on('error', (error) => settle({ error: reasonOf(error) }));
    outgoing.on('response', (response) => {
      const parts = [];
      response.on('error', (error) => settle({ error: reasonOf(error) }));
      response.on('data', (chunk) => parts.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(parts);
        // A response of the relay or the agent themselves while something is unavailable.
        if (response.statusCode !== 200) return settle({ error: `status ${response.statusCode}` });
        if (response.headers['x-id'] !== id) return settle({ wrong: 'the response to another request' });
        const wrong = firstWrong(stream, 0, body);
        if (wrong !== undefined || body.length !== length)
          return settle({ wrong: `byte ${wrong ?? body.length} of ${length}` });
        return settle({});
      });
    });
    outgoing.end(pattern(stream, 0, length));
  });
}
