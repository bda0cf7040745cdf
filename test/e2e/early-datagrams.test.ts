import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { AgentDatagrams } from '../../src/agent/datagrams/datagrams.js';
import type { ControlChannel } from '../../src/agent/session/control.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { FRAME } from '../../src/protocol/datagrams/frames.js';
import { caFolder } from '../support/ca-pool.js';
import { log } from '../support/log.js';
import { uncaught } from '../support/uncaught.js';

const opened = (): Promise<object> =>
  Promise.resolve({ type: 'datagrams.opened', id: 1, ticket: 'a.b', probeMs: 1_000, flowIdleMs: 1_000 });

it('drops datagrams that arrive together with the response to the upgrade', async () => {
  const crashes = uncaught();
  const ca = await openLocalCa(await caFolder());
  const server = createServer(await ca.issue(['localhost']));
  const websockets = new WebSocketServer({ noServer: true, handleProtocols: ([first]) => first ?? false });
  let probes = 0;
  server.on('upgrade', (request, socket: Socket, head) => {
    socket.cork();
    websockets.handleUpgrade(request, socket, head, (ws) => {
      const [flow, length, payload] = [1, 1, 65];
      ws.send(Buffer.from([FRAME.data, flow, length, payload]));
      ws.on('message', () => probes++);
    });
    socket.uncork();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const channel = { welcome: {}, relayAddress: '127.0.0.1', request: opened } as unknown as ControlChannel;
  const endpoint = { url: `https://localhost:${port}`, ca: ca.certificatePem };
  const datagrams = new AgentDatagrams(channel, endpoint, log);
  const stop = new AbortController();
  onTestFinished(() => {
    stop.abort();
    datagrams.close();
    for (const client of websockets.clients) client.terminate();
    server.closeAllConnections();
    server.close();
  });
  const served = datagrams.serve('lease', { flow: () => undefined }, 'ws', stop.signal);
  served.catch(() => undefined);
  // The first probe follows the response.
  await expect.poll(() => probes).toBeGreaterThan(0);
  expect(crashes).toEqual([]);
});
