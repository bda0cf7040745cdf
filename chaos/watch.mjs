import { touches } from './faults/all.mjs';
import { excuseOf } from './judge.mjs';

/** Records what visitors see while the world runs: every request and stream, and whether a lane is healthy now. */
export class Watch {
  /** By lane id. */
  requests = new Map();
  streams = new Map();
  #movedAt = new Map();

  /** A line from the visitors. */
  record(line) {
    if (line.request) listOf(this.requests, line.request.lane).push(line.request);
    if (line.stream) listOf(this.streams, line.stream.lane).push(line.stream);
    for (const id of line.moved ?? []) this.#movedAt.set(id, line.at);
  }

  of(lane) {
    return { requests: this.requests.get(lane.id) ?? [], streams: this.streams.get(lane.id) ?? [] };
  }

  /** How many visits of `lane` failed since then. */
  failedSince(lane, since) {
    const { requests, streams } = this.of(lane);
    const isBad = ({ end, error, how }) => end >= since && (error !== undefined || (how && how !== 'whole'));
    return [...requests, ...streams].filter(isBad).length;
  }

  /**
   * Why `lane` is unhealthy after `round`, or undefined. Healthy: two requests that began since then got responses,
   * none failed after them, its stream moves, and the agent reports it as ready.
   */
  whyUnhealthy(lane, round, phase) {
    const excuse = excuseOf(lane, round);
    const isTouched = round.faults.some((fault) => touches(fault, lane));
    const { openedAt = 0 } = lane;
    if (!isTouched && openedAt < round.begunAt) return undefined;
    const healedAt = excuse?.healedAt ?? Math.max(...round.faults.map((fault) => fault.healedAt));
    const since = isTouched ? Math.max(healedAt, openedAt) : openedAt;
    if (phase !== 'ready') return `the agent reports ${phase}`;
    const recent = this.of(lane).requests.filter(({ at }) => at >= since);
    const [last, before] = recent.toReversed();
    if (!last || !before) return 'no response yet';
    if (last.error ?? before.error) return `requests fail (${last.error ?? before.error})`;
    const isStreaming = lane.kind === 'udp' || (this.#movedAt.get(lane.id) ?? 0) > since;
    return isStreaming ? undefined : 'its stream is stalled';
  }
}

function listOf(map, key) {
  let list = map.get(key);
  if (!list) map.set(key, (list = []));
  return list;
}
