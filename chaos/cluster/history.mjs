import { appendFileSync } from 'node:fs';
import { now } from '../lib/now.mjs';
import { changesAfter } from './audit.mjs';

/**
 * Everything that happened, as the checks read it. Times (`at`, `end`, `joinedAt`) are milliseconds of one clock.
 *   faults     {id, round, kind, target, injectedAt, healedAt}
 *   requests   {lane, name, node, publicPort?, at, end, port, joinedAt?, owner?, error?, wrong?}; `node`: the one that the
 *              visitor connected to, undefined for the balancer; `publicPort`: {kind, port} of a lane in modes tcp and udp;
 *              `owner`: the agent that the visitor reached, as its certificate says, or its service
 *   streams    {lane, name, at, end, how, bytes, owner?, detail?}
 *   moved      {lane, at}: its stream moved within the second before
 *   changes    of the database, as audit.mjs describes them
 *   leases     {at, agent, service, name, phase, address?, code?}: what agents report
 *   logs       {at, node, level, msg, error?}: what nodes log
 *   entries    {at, port, server, state}: a connection of a visitor to the balancer ended
 *   delays     {at, forMs, delays} (children/delays.mjs)
 */
export class History {
  faults = [];
  requests = [];
  streams = [];
  moved = [];
  changes = [];
  leases = [];
  logs = [];
  entries = [];
  delays = [];
  #file;

  constructor(file) {
    this.#file = file;
  }

  add(list, entry) {
    this[list].push(entry);
    this.#write(list, entry);
  }

  /** A fault begins. Its fields change until it ends. Returns what to call then. */
  begin(fault) {
    this.faults.push(fault);
    return () => this.#write('faults', fault);
  }

  /** A line of the visitors. `laneOf` finds a lane by its id, `agentOf` an agent by its CA. */
  visitor({ request, stream, moved, at }, laneOf, agentOf) {
    const entryOf = ({ lane, issuer, agent, ...seen }) => ({
      lane,
      name: laneOf(lane)?.name,
      node: laneOf(lane)?.at,
      publicPort: laneOf(lane)?.publicPort,
      ...seen,
      ...(agent !== undefined && { owner: agent }),
      ...(issuer !== undefined && { owner: agentOf(issuer) ?? `unknown ${issuer}` }),
    });
    if (request) this.add('requests', entryOf(request));
    if (stream) this.add('streams', entryOf(stream));
    for (const lane of moved ?? []) this.add('moved', { lane, at });
  }

  lease(agent, { service, phase, error, url, tcpAddr, udpAddr }, nameOf) {
    const entry = { at: now(), agent, service, name: nameOf(service), phase };
    const address = url ?? tcpAddr ?? udpAddr;
    this.add('leases', { ...entry, ...(error && { code: error.code }), ...(address && { address }) });
  }

  /**
   * Reads the changes of the database since the last call. A transaction may commit later than one with a higher id, so call it
   * with `all` at the end.
   */
  async readChanges(database, { all = false } = {}) {
    const known = new Set(all ? this.changes.map(({ id }) => id) : []);
    const changes = await changesAfter(database, all ? 0 : (this.changes.at(-1)?.id ?? 0));
    for (const change of changes) if (!known.has(change.id)) this.add('changes', change);
    this.sortChanges();
  }

  sortChanges() {
    this.changes.sort((one, other) => one.id - other.id);
  }

  #write(list, entry) {
    if (this.#file === undefined) return;
    appendFileSync(this.#file, `${JSON.stringify({ list, ...entry })}\n`);
  }
}
