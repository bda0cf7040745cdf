import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { request, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Conversation, LocalService, Place } from './mode.js';

/** Shared by the modes stream and http: an HTTP service, and visitors over HTTPS. */

export async function startHttp(name: string, port = 0): Promise<LocalService> {
  const server = createServer((incoming, response) => {
    if (incoming.method !== 'POST') {
      response.end(name);
      return;
    }
    // A conversation: answers each chunk immediately, until the visitor ends it.
    response.flushHeaders();
    incoming.on('data', (chunk: Buffer) => response.write(`${name}:${chunk.toString()}`));
    incoming.on('end', () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(stop);
  return { port: (server.address() as AddressInfo).port, stop };
}

function optionsOf({ address, ca }: Place): RequestOptions {
  const { hostname, port } = new URL(address.url!);
  return {
    host: '127.0.0.1',
    port,
    servername: hostname,
    headers: { host: `${hostname}:${port}` },
    ca: ca.certificatePem,
    agent: false,
  };
}

export async function askHttp(place: Place): Promise<string> {
  const outgoing = request(optionsOf(place));
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return response.statusCode === 200 ? body : `${response.statusCode}`;
}

export async function converseHttp(place: Place): Promise<Conversation> {
  const outgoing = request({ ...optionsOf(place), method: 'POST' });
  onTestFinished(() => void outgoing.destroy());
  outgoing.on('error', () => undefined);
  outgoing.flushHeaders();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const ended = new Promise((resolve) => response.once('close', resolve));
  response.on('error', () => undefined);
  return {
    async say(text) {
      outgoing.write(text);
      const [chunk] = (await once(response, 'data')) as [Buffer];
      return chunk.toString();
    },
    async end() {
      outgoing.end();
      await ended;
    },
    ended,
  };
}
