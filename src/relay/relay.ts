import { REPLICAS_CAPABILITY } from '../protocol/messages.js';
import { AgentsSurface } from './agents/surface.js';
import { announceEnd, serveNodes } from './nodes/serve-nodes.js';
import type { Relay, RelayOptions } from './options.js';
import { Access } from './parts/access.js';
import { Chains } from './parts/chains.js';
import { Control } from './parts/control.js';
import { Health } from './parts/health.js';
import { Leasing } from './parts/leasing.js';
import { DurableState } from './parts/durable-state.js';
import type { Parts } from './parts/parts.js';
import { settingsOf, type Place, type Settings } from './parts/settings.js';
import { CARRIERS, Surface } from './parts/surface.js';
import { Visiting } from './parts/visiting.js';
import { PORT_KINDS } from './leases/ports.js';
import { runningRelay } from './running-relay.js';
import { shutDown } from './shutdown.js';
import { Turns } from './protection/turns.js';

export type { RelayLimits } from './limits.js';
export type { Relay, RelayOptions, RelayStats } from './options.js';

/** Starts a relay; resolves once it listens. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const settings = settingsOf(options);
  const access = new Access(settings);
  const durable = await DurableState.open(settings, access.quotas.refusals);
  let parts: Parts | undefined;
  try {
    parts = await createParts(settings, access, durable);
    const place = await listen(settings, parts);
    serve(settings, parts, place);
    return runningRelay(settings, parts, place);
  } catch (error) {
    await (parts ? shutDown(parts, settings, { drainMs: 0 }) : durable.close());
    throw error;
  }
}

async function createParts(settings: Settings, access: Access, durable: DurableState): Promise<Parts> {
  const { options } = settings;
  const health = new Health(options.tls, options.cluster);
  const turns = new Turns();
  const visiting = new Visiting(settings, access);
  const leasing = new Leasing(settings, { durable, access, visiting });
  const chains: Chains = new Chains(settings, {
    durable,
    access,
    leasing,
    takeVisitor: (socket) => surface.front.take(socket, { only: 'visitors' }),
  });
  const control = new Control(settings, access);
  const agents = await createAgents(settings, { access, durable, leasing, health, turns });
  const capabilities = capabilitiesOf(options, leasing, chains);
  const surface = new Surface(
    settings,
    { access, visiting, leasing, chains, control, agents, health, turns },
    capabilities,
  );
  return {
    access,
    durable,
    visiting,
    leasing,
    chains,
    control,
    agents,
    surface,
    health,
    turns,
    capabilities,
  };
}

function createAgents(
  { options, limits, log }: Settings,
  {
    access,
    durable,
    leasing,
    health,
    turns,
  }: Pick<Parts, 'access' | 'durable' | 'leasing' | 'health' | 'turns'>,
): Promise<AgentsSurface> {
  return AgentsSurface.open({
    ...(options.agents && { webDir: options.agents.webDir }),
    leases: leasing.leases,
    reservations: durable.reservations,
    store: durable.store,
    quotas: access.quotas,
    denied: access.denied,
    limits,
    identity: options.identity,
    turns,
    healthy: () => !health.stopping,
    cluster: options.cluster,
    log,
  });
}

function capabilitiesOf({ agents }: RelayOptions, { ports }: Leasing, { peers }: Chains): readonly string[] {
  return [
    'stream',
    'http',
    'hostname',
    ...PORT_KINDS.filter((kind) => ports.offers(kind)),
    ...(peers.size > 0 ? ['hop'] : []),
    ...(agents === false ? [] : ['agents']),
    REPLICAS_CAPABILITY,
  ];
}

/** Opens the ports. Visitors of reserved names wait for their agents from the first moment on. */
async function listen({ options }: Settings, { surface, leasing, visiting }: Parts): Promise<Place> {
  // A store in another process responds after the first visitors. One in this process does not, and until this process has
  // the address, a relay that drains may still write names.
  const loadsFirst = options.cluster !== undefined && options.takeOver === undefined;
  if (loadsFirst) await leasing.expectAgents();
  const place = await surface.start();
  if (!loadsFirst) await leasing.expectAgents();
  leasing.start(place.hosts);
  await surface.startRedirect(place);
  if (options.cluster) visiting.datagrams.shareWith(options.cluster);
  if (leasing.ports.offers('udp')) await visiting.start(place.hosts, place.port, options.port === 0);
  return place;
}

/** Accepts agents. */
function serve({ options, limits, log, nodes }: Settings, parts: Parts, place: Place): void {
  const { access, durable, visiting, leasing, chains, control, agents, turns } = parts;
  const { datagrams } = visiting;
  const { publicPort } = place;
  const { sessions } = control;
  const { remote, tickets, forwarding } = visiting;
  visiting.useSessions((session) => sessions.find(session)?.pool);
  visiting.acceptForwarded(leasing.leases);
  const { directory } = leasing;
  serveNodes({ nodes, directory, sessions, leases: leasing.leases, tickets, hops: chains.hops, remote });
  const context = {
    ...limits,
    ...place,
    node: directory.node,
    remote,
    forwarding,
    identity: options.identity,
    // If both ports are equal, assume that a NAT maps them to the same public port.
    datagramPort: options.datagramPort ?? (datagrams.port === place.port ? publicPort : datagrams.port),
    capabilities: parts.capabilities,
    carriers: CARRIERS,
    leases: leasing.leases,
    ports: leasing.ports,
    agents: agents.registry,
    denied: access.denied,
    quotas: access.quotas,
    tallies: visiting.tallies,
    tickets: visiting.tickets,
    gate: visiting.gate,
    datagrams,
    hops: chains.hops,
    turns,
    log,
  };
  control.start(context, ({ id }) => announceEnd(nodes, id));
  if (options.agents !== false) agents.start(place);
  chains.start(place);
  durable.start(leasing.leases, agents.registry);
}
