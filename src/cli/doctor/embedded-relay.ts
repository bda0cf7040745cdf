import { createServer } from 'node:net';
import { relayKey, type RelaySpec } from '../../agent/spec.js';
import { systemCode } from '../../lib/errors.js';
import { portHolder } from './port-holder.js';
import type { RelayContext, RelayFindings } from './relay-findings.js';
import { Subject } from './report.js';

const LOOPBACKS = ['127.0.0.1', '::1'];

/** Checks whether `portal up` can start the embedded relay. */
export async function checkEmbedded(
  spec: Extract<RelaySpec, { kind: 'embedded' }>,
  { agentRuns }: RelayContext,
): Promise<RelayFindings> {
  const subject = new Subject(`relay ${relayKey(spec)}`);
  const { port, orAnyPort } = spec;
  const facts = {
    key: relayKey(spec),
    domain: 'localhost',
    port,
    addresses: LOOPBACKS,
    isEmbedded: true,
  };
  if (agentRuns) subject.ok('relay.port', 'the relay runs inside the agent');
  else if (port === 0) subject.ok('relay.port', 'any free port');
  else if (await isFree(port)) subject.ok('relay.port', `port ${port} is free`);
  else if (orAnyPort) subject.warning('relay.port', `${await inUse(port)}; the relay will use another port`);
  else
    subject.problem(
      'relay.port',
      await inUse(port),
      'Stop that program, or choose another port: `relays: { embedded: { port: 8444 } }` (0: any free port).',
    );
  return { subject, facts };
}

async function inUse(port: number): Promise<string> {
  const holder = await portHolder(port);
  return `port ${port} is in use${holder === undefined ? '' : ` by ${holder}`}`;
}

/** Checks both loopback addresses, if this machine has them. */
async function isFree(port: number): Promise<boolean> {
  const free = LOOPBACKS.map(
    (host) =>
      new Promise<boolean>((resolve) => {
        const server = createServer();
        server.once('error', (error) => resolve(systemCode(error) !== 'EADDRINUSE'));
        server.listen(port, host, () => server.close(() => resolve(true)));
      }),
  );
  return (await Promise.all(free)).every(Boolean);
}
