import { EMPTY_LIST } from './protection/access-lists.js';
import { disconnectDenied } from './protection/disconnect-denied.js';
import type { Relay, RelayCounts } from './options.js';
import type { Parts } from './parts/parts.js';
import type { Place, Settings } from './parts/settings.js';
import { shutDown } from './shutdown.js';
import { readStats } from './stats.js';

/** A relay that listens, for the code that started it. */
export function runningRelay(settings: Settings, parts: Parts, place: Place): Relay {
  const { options, log } = settings;
  const { durable, visiting, leasing, chains, surface, health, access, agents } = parts;
  const { url, domain, port, publicPort, hosts } = place;
  shareDenials(settings, parts);
  let closing: Promise<void> | undefined;
  const hurry = new AbortController();
  const close = async (drainMs: number): Promise<void> => {
    await shutDown(parts, settings, { drainMs, inStep: options.inStep, signal: hurry.signal });
    log.info({ url }, 'relay closed');
  };
  return {
    url,
    domain,
    port,
    publicPort,
    addresses: hosts.map(({ host }) => ({ host, port })),
    httpRedirect: surface.redirect,
    address: options.identity.address,
    get descriptor() {
      return surface.own.current;
    },
    counts: () => countsOf(parts),
    problem: () => health.problem(),
    degraded: () => health.degraded(),
    stats: () => ({
      ...countsOf(parts),
      certificateEndsAt: health.certificateEndsAt,
      cluster: options.cluster?.counts?.(),
      ...readStats({
        leases: leasing.leases,
        gate: visiting.gate,
        datagrams: visiting.datagrams,
        tallies: visiting.tallies,
        store: durable.store,
        denied: access.denied,
        agents,
      }),
    }),
    deny: (list) => {
      access.denied.set(list);
      options.cluster?.denials?.publish(list);
      enforceDenials(parts);
    },
    allow: (list) => {
      access.denied.allow(list);
      disconnectDeniedFrom(parts);
    },
    reserveLabels: (list) => leasing.labels.set(list),
    serveCertificate: (pair) => {
      surface.serveCertificate(pair);
      health.serves(pair);
    },
    close: ({ drainMs = 0 } = {}) => {
      // A second call may shorten the drain.
      if (closing) {
        hurry.abort();
        void Promise.all([visiting.gate.drain({ ms: drainMs }), chains.hops.drain({ ms: drainMs })]);
      }
      return (closing ??= close(drainMs));
    },
  };
}

function countsOf({ access, visiting, leasing, chains, control, surface }: Parts): RelayCounts {
  const { sessions } = control;
  const { gate, datagrams } = visiting;
  const { hops, peers } = chains;
  return {
    sessions: sessions.size,
    handshakes: sessions.handshakes,
    mostHandshakes: sessions.mostHandshakes,
    leases: leasing.leases.size,
    unrouted: surface.front.unrouted,
    visitors: gate.size,
    waiting: gate.waiting,
    tickets: visiting.tickets.size,
    flows: datagrams.flows,
    hops: hops.size,
    hopBytes: hops.bytes,
    hopTickets: hops.tickets,
    peers: peers.size,
    knownPeers: peers.descriptors().length,
    dropped: datagrams.drops.counts(),
    refused: access.quotas.refusals.counts(),
    withoutDescriptor: access.descriptors.refused,
  };
}

/** Publishes the deny list of this node, and applies those of the others from now on. */
function shareDenials({ options }: Settings, parts: Parts): void {
  const { denials } = options.cluster ?? {};
  if (!denials) return;
  const apply = (): void => {
    parts.access.denied.setElsewhere(denials.elsewhere);
    enforceDenials(parts);
  };
  denials.publish(options.deny ?? EMPTY_LIST);
  denials.onChange(apply);
  // They may have changed since this relay began to listen.
  apply();
}

/** Disconnects everyone who is denied now. */
function enforceDenials(parts: Parts): void {
  disconnectDeniedFrom(parts);
  for (const holder of parts.access.denied.identities) {
    parts.visiting.gate.closeOf(holder);
    parts.chains.hops.closeOf(holder);
  }
}

function disconnectDeniedFrom({ access, visiting, leasing, chains, control }: Parts): void {
  disconnectDenied({
    denied: access.denied,
    sessions: control.sessions,
    hops: chains.hops,
    datagrams: visiting.datagrams,
    leases: leasing.leases,
  });
}
