import { execFileSync } from 'node:child_process';
import { readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, enter, output } from './children.mjs';
import { until } from './wait.mjs';

/**
 * Two network namespaces with a cable between them that can lose packets. The relay and its visitors are at one end,
 * the agent and its service at the other. The namespaces are anonymous and belong to two processes that end with the
 * benchmark, so nothing remains afterwards.
 */

const DEVICE = 'portal0';
const ADDRESSES = { relay: '10.77.0.1', agent: '10.77.0.2' };
/** Below .test, so that the local CA issues a certificate for it. */
export const RELAY_DOMAIN = 'relay.test';

/** Ways to lose packets on purpose. The kernel of a small machine may support only one. */
const LOSSES = {
  netem: {
    check: 'ip link set lo up && tc qdisc add dev lo root netem loss 1%',
    set: (fraction) =>
      fraction > 0
        ? `tc qdisc replace dev ${DEVICE} root netem limit 100000 loss ${fraction * 100}%`
        : `tc qdisc replace dev ${DEVICE} root pfifo limit 100000`,
  },
  // Drops packets on arrival. A rule that drops outgoing packets returns an error to the sender.
  nftables: {
    check: nft('lo', 0.01),
    set: (fraction) => nft(DEVICE, fraction),
  },
};

function nft(device, fraction) {
  const rule = `numgen random mod 10000 < ${Math.round(fraction * 10_000)} drop`;
  return `nft 'add table netdev bench; delete table netdev bench; add table netdev bench;
    add chain netdev bench in { type filter hook ingress device "${device}" priority 0; };
    ${fraction > 0 ? `add rule netdev bench in ${rule}` : ''}'`;
}

/** {by: the tool that loses packets}, or {missing: the reason why there is no such tool}. */
export function lossTool() {
  if (process.getuid() !== 0) return { missing: 'only root can create network namespaces' };
  if (!can(`ip link add ${DEVICE} type veth peer name other`))
    return {
      missing: 'cannot create network namespaces with a veth pair (Debian: apt-get install iproute2)',
    };
  const by = Object.keys(LOSSES).find((name) => can(LOSSES[name].check));
  return by
    ? { by }
    : {
        missing:
          'this kernel cannot drop packets: it has neither tc netem nor nftables (Debian: apt-get install nftables)',
      };
}

function can(command) {
  try {
    execFileSync('unshare', ['--net', '--mount', 'sh', '-c', command], { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

const run = ({ pid }, command) => output(...enter(pid, 'sh', ['-c', command]), { ms: 10_000 });

/** The two ends, {pid, address} each, and `lose(fraction)`, which applies in each direction. */
export async function openLink(world, by) {
  const hosts = join(world.folder('link'), 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n${ADDRESSES.relay} ${RELAY_DOMAIN}\n`);
  const holders = Object.keys(ADDRESSES).map(
    (end) =>
      new Child(`${end}'s namespace`, 'unshare', [
        '--net',
        '--mount',
        'sh',
        '-c',
        `mount --bind '${hosts}' /etc/hosts && ip link set lo up && echo '{"up":true}' && exec cat`,
      ]),
  );
  const [relay, agent] = holders;
  const stop = async () => void (await Promise.all(holders.map((holder) => holder.stop())));
  try {
    await Promise.all(holders.map((holder) => holder.line((line) => line.up)));
    const ours = readlinkSync('/proc/self/ns/net');
    await until(
      () => holders.every(({ pid }) => readlinkSync(`/proc/${pid}/ns/net`) !== ours),
      'a namespace',
    );
    await run(relay, `ip link add ${DEVICE} type veth peer name ${DEVICE} netns ${agent.pid}`);
    await run(relay, `ip addr add ${ADDRESSES.relay}/30 dev ${DEVICE} && ip link set ${DEVICE} up`);
    await run(agent, `ip addr add ${ADDRESSES.agent}/30 dev ${DEVICE} && ip link set ${DEVICE} up`);
    return {
      relay: { pid: relay.pid, address: ADDRESSES.relay },
      agent: { pid: agent.pid, address: ADDRESSES.agent },
      lose: async (fraction) => {
        for (const holder of holders) await run(holder, LOSSES[by].set(fraction));
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
