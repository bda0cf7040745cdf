import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { rssOfTree } from '../bench/lib/proc.mjs';
import { RELAY_PORT } from './actors.mjs';
import { expectedOn, leftCounts } from './counts.mjs';

/**
 * The state of a world without visitors. It is recorded before the first fault and after the last one, and compared.
 * Anything new needs a reason.
 */

const LISTEN = '0A';
/** States of sockets without an owner, which the kernel keeps for a while. */
const CLOSED_STATES = new Set(['06', '07']);

/** Allowed growth of memory. See docs/explanation/chaos.md. */
const MEMORY_FACTOR = 1.3;
const MEMORY_BYTES = 24e6;
/** Open files besides sockets: a rotated log, a database file that is opened a second time. */
const MORE_FILES = 4;

/** A snapshot: {name: {rss, sockets, listening, udp, files, disk, …}}. */
export async function snapshot(world) {
  const all = {};
  for (const one of [...world.relays.values(), ...world.agents.values()]) {
    await one.program.collect();
    const { pid } = one.program;
    const sockets = socketsOf(pid);
    all[one.name] = {
      starts: one.starts,
      rss: rssOfTree(pid),
      listening: sockets.tcp.filter(({ state }) => state === LISTEN).map(({ local }) => local),
      connections: sockets.tcp.filter(({ state }) => state !== LISTEN && !CLOSED_STATES.has(state)),
      udp: sockets.udp.map(({ local }) => local),
      files: filesOf(pid),
      disk: filesBelow(one.machine.path('disk')),
    };
  }
  const local = {};
  for (const name of world.agents.keys()) local[name] = await world.localConnections(name);
  return { all, local, metrics: await world.metrics() };
}

/**
 * Leaks: [{where, what}], or an empty list. `fresh` is the snapshot before any visitor, `before` the one after
 * visitors left but before the first fault, and `last` the one before `after`. `flows` says whether UDP flows have
 * expired, `spare` whether surplus idle data connections have.
 */
export function leaks(world, shape, { fresh, before, last, after, flows, spare }) {
  const found = [];
  const say = (where, what) => found.push({ where, what });
  const visitor = world.visitorMachine.address;
  for (const [name, now] of Object.entries(after.all)) {
    const was = before.all[name];
    if (world.relays.has(name)) {
      const { tcpPorts, udpPorts } = expectedOn(world, shape, name);
      compare(name, 'TCP ports', tcpPorts, now.listening.map(portOf), say);
      compare(name, 'UDP ports', udpPorts, now.udp.map(portOf), say);
    } else compare(name, 'TCP ports', was.listening, now.listening, say);
    const foreign = now.connections.filter(({ remote }) => remote.startsWith(`${visitor}:`));
    if (foreign.length > 0) say(name, `${foreign.length} connections of visitors who have left`);
    const moreFiles = now.files.length - was.files.length;
    if (moreFiles > MORE_FILES) say(name, `${moreFiles} more open files`);
    for (const file of now.disk.filter((path) => !was.disk.includes(path))) say(name, `a new file: ${file}`);
    for (const file of was.disk.filter((path) => !now.disk.includes(path)))
      say(name, `a missing file: ${file}`);
    const mostBytes = was.rss * MEMORY_FACTOR + MEMORY_BYTES;
    if (now.rss > mostBytes) say(name, `${mega(now.rss)} MB of memory, ${mega(was.rss)} MB in the beginning`);
    // The warm-up left sockets before the first fault, so compare with the snapshot before any visitor.
    const flowSockets = world.relays.has(name) ? 0 : now.udp.length - fresh.all[name].udp.length;
    if (flows && flowSockets > 0) say(name, `${flowSockets} UDP sockets: flows of visitors who have left`);
  }
  for (const pair of halfOpen(world, last, after))
    say(pair.at, `a connection that only one side has: ${pair.what}`);
  for (const { at, what } of miscountedHops(world, after)) say(at, what);
  for (const [name, { tcp, http }] of Object.entries(after.local)) {
    if (tcp > 0) say(name, `${tcp} connections to the local TCP service`);
    if (http > (before.local[name].http ?? 0) + 2) say(name, `${http} connections to the local HTTP service`);
  }
  return [
    ...found,
    ...leftCounts(world, shape, { metrics: after.metrics, before: before.metrics, flows, spare }),
  ];
}

/**
 * Connections between a relay and an agent, or between two relays, that only one side has, and had in the last
 * snapshot too. One snapshot is not enough: it does not read both sides at the same instant, and an agent with a pool
 * probes relays.
 */
function halfOpen(world, last, { all }) {
  const nameOf = new Map(
    [...world.relays.values(), ...world.agents.values()].map((one) => [one.machine.address, one.name]),
  );
  const found = [];
  for (const [name, { connections }] of Object.entries(all)) {
    for (const { local, remote } of connections) {
      const peer = nameOf.get(remote.slice(0, remote.lastIndexOf(':')));
      if (!peer || peer === name) continue;
      const isThere = all[peer].connections.some((other) => other.local === remote && other.remote === local);
      const wasHere = last?.all[name].connections.some(
        (other) => other.local === local && other.remote === remote,
      );
      if (!isThere && wasHere) found.push({ at: name, what: `${local} to ${peer} (${remote})` });
    }
  }
  return found;
}

/** Relays whose count of forwarded connections differs from the connections that they have. */
function miscountedHops(world, { all, metrics }) {
  return [...world.relays.keys()].flatMap((name) => {
    const peers = [...world.relays.values()].filter((peer) => peer.name !== name);
    const isOut = ({ remote }) => peers.some(({ machine }) => remote === `${machine.address}:${RELAY_PORT}`);
    const [has, counts] = [all[name].connections.filter(isOut).length, metrics[name].hops];
    return has === counts
      ? []
      : [{ at: name, what: `counts ${counts} forwarded connections, and has ${has}` }];
  });
}

function compare(where, what, was, now, say) {
  const [gone, more] = [was.filter((one) => !now.includes(one)), now.filter((one) => !was.includes(one))];
  if (gone.length > 0) say(where, `${what} closed: ${gone.join(', ')}`);
  if (more.length > 0) say(where, `${what} left: ${more.join(', ')}`);
}

/** Sockets of one process: those of its network namespace that its file descriptors refer to. */
function socketsOf(pid) {
  const inodes = new Set(linksOf(pid).flatMap((link) => link.match(/^socket:\[(\d+)\]$/)?.[1] ?? []));
  const read = (file) =>
    readFileSync(`/proc/${pid}/net/${file}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => inodes.has(fields[9]))
      .map((fields) => ({ local: addressOf(fields[1]), remote: addressOf(fields[2]), state: fields[3] }));
  return { tcp: [...read('tcp'), ...read('tcp6')], udp: [...read('udp'), ...read('udp6')] };
}

const filesOf = (pid) => linksOf(pid).filter((link) => !link.startsWith('socket:'));

function linksOf(pid) {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return readlinkSync(join(folder, fd));
    } catch {
      return [];
    }
  });
}

/** Files on a disk, without SQLite's temporary files. */
function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((path) => !/\.db-(wal|shm)$/.test(path))
    .toSorted();
}

/** An address from /proc/net/tcp, such as `0100007F:1F90`. Returns IPv4-mapped IPv6 as IPv4. */
function addressOf(text) {
  const [hex, port] = text.split(':');
  const bytes = Buffer.from(hex, 'hex');
  for (let word = 0; word < bytes.length; word += 4) bytes.subarray(word, word + 4).reverse();
  const isV4 = bytes.length === 4 || bytes.subarray(0, 12).toString('hex') === '00000000000000000000ffff';
  const address = isV4 ? bytes.subarray(-4).join('.') : bytes.toString('hex');
  return `${address}:${parseInt(port, 16)}`;
}

const portOf = (address) => Number(address.slice(address.lastIndexOf(':') + 1));

const mega = (bytes) => Math.round(bytes / 1e5) / 10;
