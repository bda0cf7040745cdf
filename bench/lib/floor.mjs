import { script } from './children.mjs';

/** The first cipher of both sides, as Portal and nginx choose it. */
const CIPHER = 'TLS_AES_128_GCM_SHA256';

/**
 * A relay and an agent of a few lines of Node each. They show the cost of Node itself, so the rest is the cost of
 * Portal.
 */
export async function startFloor(world, { hostname, port, mode }) {
  const datagrams = mode === 'udp';
  const files = datagrams ? undefined : await world.certificate(world.folder('floor'), [hostname]);
  const tls = files && { cert: files.cert, key: files.key, ciphers: CIPHER };
  const agent = script('floor.mjs', { to: port, datagrams, ...tls });
  const { port: agentPort } = await agent.line((line) => line.port);
  const relay = script('floor.mjs', { to: agentPort, datagrams });
  const { port: publicPort } = await relay.line((line) => line.port);
  return {
    name: 'floor',
    host: '127.0.0.1',
    port: publicPort,
    ...(files && { servername: hostname, caFile: files.ca }),
    stages: { relay, agent },
    isCompiled: true,
    async stop() {
      await Promise.all([agent.stop(), relay.stop()]);
    },
  };
}
