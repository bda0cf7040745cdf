import { cpus, loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import { now } from '../lib/now.mjs';
import { requestOf } from '../visitors/requests.mjs';
import { Stream } from '../visitors/streams.mjs';
import { UdpVisitor } from '../visitors/datagrams.mjs';

/**
 * Live visitors of every lane (a service on a relay), in one process. Commands on standard input:
 *   {lanes: [...]}   visit these lanes
 *   {quiet: true}    end every stream in order, start no request; answers {quiet: {open}}
 *   {go: true}       start again
 *   {open: lane}     visit a new lane, or reopen one
 *   {shut: id}       stop visiting this lane; end its streams in order
 *   {count: true}    answers {visits: {lane: how many are open}}
 * Prints each request as {request: {lane, at, end, error?, wrong?}}, each stream that ended as
 * {stream: {lane, at, end, bytes, how, detail?}}, and once a second the lanes whose streams moved as {moved: [...]}.
 */

const EVERY_MS = 1_000;
/** Requests of one lane at a time. High enough that a new request can start while others wait for their timeout. */
const MAX_REQUESTS = 13;
const QUIET_MS = 45_000;

/** Runnable processes per processor. On a machine with many, timeouts prove little. */
const load = () => Math.round((loadavg()[0] / cpus().length) * 10) / 10;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

class Lane {
  #spec;
  #udp;
  #stream;
  #waiting = 0;
  #active = false;
  #timer;
  moved = 0;
  /** No visitor uses this lane. */
  isShut = false;

  constructor(spec) {
    this.#spec = spec;
    if (spec.kind === 'udp') this.#udp = new UdpVisitor(spec, (wrong) => this.#report(now(), { wrong }));
  }

  get open() {
    return this.#waiting + (this.#stream ? 1 : 0);
  }

  go() {
    if (this.#active || this.isShut) return;
    this.#active = true;
    const { everyMs = EVERY_MS, streams = true } = this.#spec;
    // Spreads the visits over time.
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(() => void this.#ask(), everyMs);
    }, Math.random() * everyMs);
    if (!this.#udp && !this.#stream && streams) this.#openStream();
  }

  quiet() {
    this.#active = false;
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    this.#stream?.finish();
    this.#udp?.close();
  }

  async #ask() {
    if (this.#waiting >= MAX_REQUESTS) return;
    this.#waiting++;
    const at = now();
    const outcome = await (this.#udp ? this.#udp.ask() : requestOf(this.#spec));
    this.#waiting--;
    this.#report(at, outcome);
  }

  #report(at, outcome) {
    const failed = outcome.error !== undefined && { load: load() };
    say({ request: { lane: this.#spec.id, at, end: now(), ...outcome, ...failed } });
  }

  #openStream() {
    const at = now();
    this.#stream = new Stream(this.#spec, {
      onMoved: (bytes) => (this.moved += bytes),
      onEnd: (outcome) => {
        this.#stream = undefined;
        say({ stream: { lane: this.#spec.id, at, end: now(), load: load(), ...outcome } });
        // Retries immediately after a complete stream, and backs off otherwise, so as not to flood an unavailable
        // relay.
        if (this.#active) setTimeout(() => this.#active && !this.#stream && this.#openStream(), 300);
      },
    });
  }
}

const lanes = new Map();
let isGoing = false;
createInterface({ input: process.stdin })
  .on('line', (text) => void obey(JSON.parse(text)))
  .on('close', () => process.exit(0));

setInterval(() => {
  const moved = [...lanes].filter(([, lane]) => lane.moved > 0);
  say({ moved: moved.map(([id]) => id), at: now() });
  for (const [, lane] of moved) lane.moved = 0;
}, 1_000);

async function obey({ lanes: specs = [], open, shut, go, quiet, count }) {
  for (const spec of open ? [...specs, open] : specs) {
    if (!lanes.has(spec.id)) lanes.set(spec.id, new Lane(spec));
    lanes.get(spec.id).isShut = false;
  }
  if (shut !== undefined) {
    lanes.get(shut).isShut = true;
    lanes.get(shut).quiet();
  }
  if (specs.length > 0 || go) isGoing = true;
  if (isGoing) for (const lane of lanes.values()) lane.go();
  if (count) say({ visits: Object.fromEntries([...lanes].map(([id, lane]) => [id, lane.open])) });
  if (quiet) await endAll();
}

async function endAll() {
  isGoing = false;
  for (const lane of lanes.values()) lane.quiet();
  const openNow = () => [...lanes.values()].reduce((sum, lane) => sum + lane.open, 0);
  const until = performance.now() + QUIET_MS;
  while (openNow() > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
  say({ quiet: { open: openNow(), of: [...lanes].filter(([, lane]) => lane.open > 0).map(([id]) => id) } });
}
