/** A node of a relay in a process of its own, which a test stops: `node postgres-node.mjs URL`. */
import { createServer } from 'node:net';
import { joinCluster } from '../../dist/modules/relay/postgres/cluster.js';
import { silent } from '../../dist/modules/lib/logger.js';

const node = await joinCluster({
  url: process.argv[2],
  relay: { identity: '0x1', domain: 'relay.test' },
  nodeAddress: '127.0.0.1:1',
  graceMs: 60_000,
  settings: { renewMs: 50, ttlMs: 2_000 },
  log: silent,
});
const say = (line) => process.stdout.write(`${line}\n`);
node.onExpired(() => say('expired'));
await node.directory.claim({
  id: 'web',
  place: 'web.relay.test',
  name: 'web',
  hostname: 'web.relay.test',
  isOwnDomain: false,
  kind: 'tls',
  owner: '0xA',
  instance: 'i1',
  session: 's1',
  port: undefined,
  carrier: 'tls',
});
const server = createServer((socket) => {
  say(node.isCurrent() ? 'served' : 'rejected');
  socket.destroy();
});
server.listen(0, '127.0.0.1', () => {
  say(JSON.stringify({ node: node.node, port: server.address().port }));
});
