import { script } from '../lib/children.mjs';
import { result } from '../lib/figures.mjs';
import { nodesMissing, startNodes } from '../lib/nodes.mjs';

/**
 * A relay of three nodes, all of whose leases have one agent: what a visitor waits for at the node with the agent's session and at
 * another one, in turns. With 5,000 leases behind a balancer; and with connections of the agent at one node only, so that
 * all visitors of the other one are forwarded.
 */
export async function nodes(world) {
  const missing = nodesMissing();
  if (missing) throw new Error(missing);
  const visits = world.quick ? 20 : 200;
  return [
    ...(await measured(world, 'nodes', { leases: world.quick ? 50 : 5_000, agentAt: 3, visits })),
    ...(await measured(world, 'nodes.forwarding', { leases: 50, agentAt: 1, visits })),
  ];
}

async function measured(world, suite, { leases, agentAt, visits }) {
  const names = Array.from({ length: leases }, (_, index) => `web${index}`);
  const service = script('service.mjs');
  const runs = {};
  const note = (name, value) => (runs[name] ??= []).push(value);
  let relay;
  try {
    const { port } = await service.line((line) => line.port);
    const services = Object.fromEntries(names.map((name) => [name, { mode: 'stream', target: port }]));
    relay = await startNodes(world, { count: 3, services, agentAt, readyWithinMs: 900_000 });
    note('ready', relay.readyMs / 1_000);
    const sessions = await Promise.all(relay.nodes.map(({ metric }) => metric('portal_relay_sessions')));
    const home = relay.nodes[sessions.indexOf(1)];
    const [other] = relay.nodes.filter((node) => node !== home);
    const visit = {
      ports: [home.port, other.port],
      hostnames: names.map((name) => `${name}.localhost`),
      visits,
    };
    // The first round lets Node compile.
    for (let round = 0; round <= world.rounds; round++) {
      const before = await forwardedBy(other);
      const times = await visitTimes(relay, { ...visit, seed: round });
      if (round === 0) continue;
      for (const [index, where] of ['local', 'remote'].entries()) {
        note(`${where}.p50`, quantile(times[index], 0.5));
        note(`${where}.p99`, quantile(times[index], 0.99));
      }
      note('forwarded', ((await forwardedBy(other)) - before) / visits);
      for (const node of relay.nodes) note('rss', (await node.process.residentBytes()) / 1e6);
      const latest = Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, all.at(-1)]));
      world.progress(`  ${suite} ${world.describe(latest)}`);
    }
  } finally {
    await relay?.stop();
    await service.stop();
  }
  return Object.entries(runs).map(([name, values]) =>
    result(`${suite}.${name}`, UNITS[name.split('.').at(-1)], { portal: values }, { leases, visits }),
  );
}

async function visitTimes({ caFile }, options) {
  const visitors = script('first-byte.mjs', { caFile, ...options });
  const { times, error } = await visitors.line((line) => line.done || line.error, 600_000);
  await visitors.stop();
  if (error) throw new Error(`a visitor was not served: ${error}`);
  return times;
}

const forwardedBy = ({ metric }) => metric('portal_relay_visitors_forwarded_total');

const quantile = (values, part) =>
  values.toSorted((one, other) => one - other)[Math.floor(part * values.length)];

const UNITS = {
  ready: 's',
  p50: 'ms',
  p99: 'ms',
  forwarded: 'of the visitors of the other node',
  rss: 'MB/node',
};
