import { execFileSync } from 'node:child_process';
import { hasFaketime } from '../faults/environment.mjs';

/** Detects what this machine supports. A kernel may lack queueing disciplines, a system may lack programs. */

/** Program and Debian package. */
const PROGRAMS = {
  ip: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  dnsmasq: 'dnsmasq-base',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  nsenter: 'util-linux',
};

/** Why no run is possible, or undefined. */
export function whyNot() {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only';
  if (process.getuid() !== 0) return 'only root can create network namespaces';
  const missing = Object.entries(PROGRAMS).filter(([name]) => !can('sh', '-c', `command -v ${name}`));
  if (missing.length > 0)
    return missing
      .map(([name, from]) => `${name} is not installed (Debian: apt-get install ${from})`)
      .join('; ');
  const netdev =
    'table netdev t { chain e { type filter hook egress device "lo" priority 0; numgen random mod 100 < 1 drop; }; }';
  if (!inside('ip link add br0 type bridge && ip link add port1 type veth peer name port2'))
    return 'network namespaces with a bridge do not work here';
  return inside(`nft '${netdev}'`) ? undefined : 'this kernel has no nftables, which drop packets';
}

/** Kinds of faults that this machine cannot inject, and why: {kind: reason}. */
export function cannot(kinds) {
  const needs = {
    netem: () => inside('tc qdisc add dev lo root netem delay 1ms') || 'this kernel has no tc netem',
    tbf: () =>
      inside('tc qdisc add dev lo root tbf rate 1mbit burst 16kb latency 100ms') ||
      'this kernel has no tc tbf',
    faketime: () => hasFaketime || 'faketime is not installed (Debian: apt-get install faketime)',
    dnsmasq: () => true,
  };
  const found = {};
  for (const { kind, needs: need } of kinds) {
    const answer = need === undefined ? true : needs[need]();
    if (answer !== true) found[kind] = answer;
  }
  return found;
}

const inside = (command) => can('unshare', '--net', '--mount', 'sh', '-c', `ip link set lo up && ${command}`);

function can(file, ...args) {
  try {
    execFileSync(file, args, { stdio: 'ignore', timeout: 10_000, env: { ...process.env, PATH: PATH() } });
    return true;
  } catch {
    return false;
  }
}

const PATH = () => `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
