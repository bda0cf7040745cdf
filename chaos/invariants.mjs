import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { rssOfTree } from '../bench/lib/proc.mjs';
import { RELAY_PORT } from './actors.mjs';
import { expectedOn, leftCounts } from './counts.mjs';

/**
 * What is there of a world when nobody visits it: taken before the first fault and after the last one, and compared.
 * Nothing may be there that was not there before, but what has a reason of its own.
 */

const LISTEN = '0A';
/** Nobody holds these any more: the kernel only remembers them for a while. */
const OVER = new Set(['06', '07']);

/** How much more memory than in the beginning: see docs/explanation/chaos.md. */
const MEMORY_FACTOR = 1.3;
const MEMORY_BYTES = 24e6;
/** Open files besides sockets: a rotated log, a database file opened once more. */
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
      connections: sockets.tcp.filter(({ state }) => state !== LISTEN && !OVER.has(state)),
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
 * What is left over: [{where, what}], empty where all is as it was. `fresh` was taken before there were visitors,
 * `before` after they had come and gone, without a fault, `last`
 * the time before `after`. `flows` tells whether their time is over, `spare` whether
 * that of connections that were kept ready is.
 */
export function leftOver(world, shape, { fresh, before, last, after, flows, spare }) {
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
    for (const file of now.disk.filter((path) => !was.disk.includes(path)))
      say(name, `a file that was not there: ${file}`);
    for (const file of was.disk.filter((path) => !now.disk.includes(path)))
      say(name, `a file is gone: ${file}`);
    const mostBytes = was.rss * MEMORY_FACTOR + MEMORY_BYTES;
    if (now.rss > mostBytes) say(name, `${mega(now.rss)} MB of memory, ${mega(was.rss)} MB in the beginning`);
    // Those of the warm-up were there before the first fault, so it is compared with the time before any visitor.
    const flowSockets = world.relays.has(name) ? 0 : now.udp.length - fresh.all[name].udp.length;
    if (flows && flowSockets > 0) say(name, `${flowSockets} UDP sockets: flows of visitors who have left`);
  }
  for (const pair of halfOpen(world, last, after))
    say(pair.at, `a connection that its peer does not have: ${pair.what}`);
  for (const { at, what } of hopsOutOfBooks(world, after)) say(at, what);
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
 * Connections between a relay and an agent, or two relays, that only one of the two has, and had when it was looked before:
 * both are not looked at in the same moment, and an agent of a pool asks relays how they are.
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

/** Connections passed on that a relay counts and has not, or has and does not count. */
function hopsOutOfBooks(world, { all, metrics }) {
  return [...world.relays.keys()].flatMap((name) => {
    const peers = [...world.relays.values()].filter((peer) => peer.name !== name);
    const isOut = ({ remote }) => peers.some(({ machine }) => remote === `${machine.address}:${RELAY_PORT}`);
    const [has, counts] = [all[name].connections.filter(isOut).length, metrics[name].hops];
    return has === counts
      ? []
      : [{ at: name, what: `counts ${counts} connections passed on, and has ${has}` }];
  });
}

function compare(where, what, was, now, say) {
  const [gone, more] = [was.filter((one) => !now.includes(one)), now.filter((one) => !was.includes(one))];
  if (gone.length > 0) say(where, `${what} gone: ${gone.join(', ')}`);
  if (more.length > 0) say(where, `${what} left: ${more.join(', ')}`);
}

/** Sockets of one process: those of its network that its own file descriptors hold. */
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

/** What is on a disk, without SQLite's own helpers, which come and go. */
function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((path) => !/\.db-(wal|shm)$/.test(path))
    .toSorted();
}

/** `0100007F:1F90` of /proc/net/tcp as an address; IPv4 in IPv6 as IPv4. */
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
