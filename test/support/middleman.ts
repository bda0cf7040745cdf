import { Agent, createServer, request as httpsRequest } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/limits.js';
import type { FromAgent, FromRelay } from '../../src/protocol/messages.js';
import type { TestRelay } from './world.js';

/** How the middleman changes the bytes that it forwards. `socket` is its TLS session with the agent. */
export interface Tampering {
  readonly challenge?: (challenge: Challenge, hello: { nonce: string }, socket: TLSSocket) => Challenge;
}

type Challenge = Pick<FromRelay<'challenge'>, 'message' | 'relay'>;

export interface Middleman {
  /** Types of the control messages, and paths of the requests, that agents sent. */
  readonly received: string[];
  /** Types of the control messages, and statuses of the responses, that the relay sent. */
  readonly answered: string[];
}

/**
 * Terminates TLS for the name of `real` on `port`, with a certificate that agents trust, and forwards control channels
 * and sign-ins to `real`.
 */
export async function middleman(
  real: TestRelay,
  port: number,
  tampering: Tampering = {},
): Promise<Middleman> {
  const received: string[] = [];
  const answered: string[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: real.ca.certificatePem });
  const server = createServer(await real.ca.issue(['localhost']), (request, response) => {
    void passOn(request, response);
  });
  const passOn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    received.push(`${request.method} ${request.url}`);
    const { status, text } = await ask(request, body);
    answered.push(String(status));
    const isChallenge = status === 200 && request.url === '/v1/sign-in/challenge';
    const { relayNonce: nonce = '' } = body === '' ? {} : (JSON.parse(body) as { relayNonce?: string });
    const passed = isChallenge
      ? JSON.stringify({
          ...JSON.parse(text),
          ...tampering.challenge?.(JSON.parse(text) as Challenge, { nonce }, request.socket as TLSSocket),
        })
      : text;
    response.writeHead(status, { 'content-type': 'application/json' }).end(passed);
  };
  const ask = (request: IncomingMessage, body: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const onward = httpsRequest({
        agent,
        host: '127.0.0.1',
        port: real.port,
        servername: 'localhost',
        method: request.method,
        path: request.url,
        headers: { ...request.headers, 'content-length': Buffer.byteLength(body) },
      });
      onward.once('error', reject);
      onward.once('response', (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.once('end', () => resolve({ status: answer.statusCode!, text }));
      });
      onward.end(body);
    });

  const websockets = new WebSocketServer({ server, handleProtocols: () => CONTROL_SUBPROTOCOL });
  const onwards = new Set<WebSocket>();
  websockets.on('connection', (near, request) => {
    const far = new WebSocket(`wss://localhost:${real.port}/v1/control`, [CONTROL_SUBPROTOCOL], {
      ca: real.ca.certificatePem,
      headers: { host: `localhost:${port}` },
    });
    onwards.add(far);
    const waiting: string[] = [];
    let nonce = '';
    far.on('open', () => waiting.splice(0).forEach((text) => far.send(text)));
    near.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as FromAgent;
      received.push(message.type);
      if (message.type === 'hello') nonce = message.nonce ?? '';
      if (far.readyState === WebSocket.OPEN) far.send(data.toString());
      else waiting.push(data.toString());
    });
    far.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as FromRelay;
      answered.push(message.type === 'error' ? message.code : message.type);
      const change = message.type === 'challenge' ? tampering.challenge : undefined;
      const passed = change
        ? { ...message, ...change(message as Challenge, { nonce }, request.socket as TLSSocket) }
        : message;
      if (near.readyState === WebSocket.OPEN) near.send(JSON.stringify(passed));
    });
    near.on('close', () => far.close()).on('error', () => undefined);
    far.on('close', () => near.close()).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const far of onwards) far.terminate();
    for (const near of websockets.clients) near.terminate();
    agent.destroy();
    websockets.close();
    server.closeAllConnections();
    server.close();
  });
  return { received, answered };
}
