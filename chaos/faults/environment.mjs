import { writeFileSync } from 'node:fs';
import { fillDisk } from '../lib/disk.mjs';
import { faketime } from '../lib/clock.mjs';
import { actorOf, freeze, machineOf } from './actors.mjs';

/**
 * Faults of disks, clocks and name resolution. Connected actors must not notice them: alone, these excuse no failed
 * request. Together with another fault, they delay the recovery until they end.
 */

const dns = (kind, what, targets, resource, inject) => ({
  kind,
  what,
  targets,
  resource,
  weight: 1.5,
  durationMs: [2_000, 7_000],
  limitMs: 15_000,
  isHarmless: true,
  needs: 'dnsmasq',
  inject,
});

export const environmentFaults = [
  {
    kind: 'disk-full',
    what: 'the disk with the data of a relay or an agent is full to the last byte',
    targets: ['relay', 'agent'],
    resource: 'disk',
    weight: 3,
    durationMs: [2_000, 7_000],
    limitMs: 15_000,
    isHarmless: true,
    async inject(world, fault) {
      return fillDisk(machineOf(world, fault.target).path('disk', 'filler'));
    },
  },
  {
    kind: 'clock-jump',
    what: 'the clock of a relay or an agent jumps by an hour or so, and back',
    targets: ['relay', 'agent'],
    resource: 'clock',
    weight: 3,
    durationMs: [2_000, 7_000],
    // A process notices a changed clock only after a second.
    limitMs: 15_000,
    isHarmless: true,
    needs: 'faketime',
    draw: ({ pick, between }) => ({ seconds: pick([-1, 1]) * between(120, 7_200) }),
    async inject(world, fault) {
      actorOf(world, fault.target).setClock(fault.seconds);
      return () => actorOf(world, fault.target).setClock(0);
    },
  },
  dns('dns-gone', 'the DNS server is killed, and restarts', ['dns'], 'dns', async (world) => {
    await world.dns.kill();
    return () => world.startDns();
  }),
  dns('dns-silent', 'the DNS server does not answer', ['dns'], 'dns', async ({ dns: server }) =>
    freeze(server),
  ),
  dns(
    'resolv-conf-gone',
    'resolv.conf of an agent or a relay is emptied, and restored',
    ['agent', 'relay'],
    'resolver',
    async (world, { target }) => {
      const { resolver } = machineOf(world, target);
      writeFileSync(resolver, '');
      return () => writeFileSync(resolver, world.network.resolverText());
    },
  ),
];

export const hasFaketime = faketime !== undefined;
