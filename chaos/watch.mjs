import { touches } from './faults/all.mjs';
import { excuseOf } from './judge.mjs';

/** What is seen of the world while it runs: every request and stream, and whether a lane is well now. */
export class Watch {
  /** By lane id. */
  requests = new Map();
  streams = new Map();
  #movedAt = new Map();

  /** A line of the visitors. */
  told(line) {
    if (line.request) listOf(this.requests, line.request.lane).push(line.request);
    if (line.stream) listOf(this.streams, line.stream.lane).push(line.stream);
    for (const id of line.moved ?? []) this.#movedAt.set(id, line.at);
  }

  of(lane) {
    return { requests: this.requests.get(lane.id) ?? [], streams: this.streams.get(lane.id) ?? [] };
  }

  /** How many visits of `lane` ended otherwise than in order since then. */
  endedBadly(lane, since) {
    const { requests, streams } = this.of(lane);
    const isBad = ({ end, error, how }) => end >= since && (error !== undefined || (how && how !== 'whole'));
    return [...requests, ...streams].filter(isBad).length;
  }

  /**
   * Why `lane` is not well after `round`; undefined once it is: two requests that were begun since then are
   * answered, none failed after them, its stream moves, and the agent says that it is ready.
   */
  notYet(lane, round, phase) {
    const excuse = excuseOf(lane, round);
    const isTouched = round.faults.some((fault) => touches(fault, lane));
    const { openedAt = 0 } = lane;
    if (!isTouched && openedAt < round.begunAt) return undefined;
    const healedAt = excuse?.healedAt ?? Math.max(...round.faults.map((fault) => fault.healedAt));
    const since = isTouched ? Math.max(healedAt, openedAt) : openedAt;
    if (phase !== 'ready') return `the agent says ${phase}`;
    const recent = this.of(lane).requests.filter(({ at }) => at >= since);
    const [last, before] = recent.toReversed();
    if (!last || !before) return 'no answer yet';
    if (last.error ?? before.error) return `requests fail (${last.error ?? before.error})`;
    const isStreaming = lane.kind === 'udp' || (this.#movedAt.get(lane.id) ?? 0) > since;
    return isStreaming ? undefined : 'its stream stands still';
  }
}

function listOf(map, key) {
  let list = map.get(key);
  if (!list) map.set(key, (list = []));
  return list;
}
