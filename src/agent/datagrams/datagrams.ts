import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay, within } from '../../lib/wait.js';
import { Drops, type DropReason } from '../../protocol/datagrams/drops.js';
import { FrameWriter } from '../../protocol/datagrams/writer.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromRelay } from '../../protocol/messages.js';
import type { RelayEndpoint } from '../connect.js';
import type { ControlChannel } from '../control.js';
import { SessionFlows, type FlowSink, type ServedLease } from './flows.js';
import { Prober } from './prober.js';
import { openWebSocketWay, UdpWay, type Way, type WayEvents } from './ways.js';

type Carrier = Way['carrier'];
type Opened = FromRelay<'datagrams.opened'>;

/** A way, and what is sent and asked over it. */
interface Line {
  readonly way: Way;
  readonly writer: FrameWriter;
  readonly prober: Prober;
  /** Resolves when it is lost, or was closed. */
  readonly lost: Promise<void>;
  readonly lose: () => void;
}

export interface DatagramStatus {
  /** Where datagrams go now. */
  readonly carrier: Carrier | undefined;
  /** What went no further, by reason. */
  readonly dropped: Partial<Record<DropReason, number>>;
}

/**
 * The datagrams of one session, from the agent's side. Plain UDP is used while probes are answered over it; where they
 * are not, the WebSocket is, and plain UDP is tried again with growing pauses.
 */
export class AgentDatagrams {
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #drops = new Drops();
  readonly #leases = new Map<string, ServedLease>();
  readonly #flows: SessionFlows;
  readonly #lines = new Map<Carrier, Line>();
  #used: Carrier | undefined;
  #sequence = 0;
  #running = false;
  /** Set while the WebSocket is kept open. */
  #keepingWs: AbortController | undefined;
  /** Set while it is open and needed no more. */
  #wsLeaves: NodeJS.Timeout | undefined;
  /** Plain UDP was tried, and did not get through. */
  #fellBack = false;
  #probeMs: number = LIMITS.datagramProbeMs;
  #flowIdleMs: number = LIMITS.flowIdleMs;
  readonly #waiters = new Set<() => void>();

  constructor(channel: ControlChannel, endpoint: RelayEndpoint, log: Logger) {
    this.#channel = channel;
    this.#endpoint = endpoint;
    this.#log = log;
    this.#flows = new SessionFlows(
      this.#leases,
      (lease) => this.#lineFor(this.#leases.get(lease)?.carrier)?.writer,
      this.#drops,
    );
  }

  /** How long the relay keeps a silent flow. */
  get flowIdleMs(): number {
    return this.#flowIdleMs;
  }

  status(): DatagramStatus {
    return { carrier: this.#used, dropped: this.#drops.counts() };
  }

  /** The visitors of `lease` are for `sink` from now on; resolves once there is a way for them. */
  async serve(lease: string, sink: FlowSink, carrier: Carrier, signal: AbortSignal): Promise<void> {
    this.#leases.set(lease, { sink, carrier });
    this.#arrange();
    const up = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.#lineFor(carrier)) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
    await within(up, LIMITS.requestMs, 'a way for datagrams to the relay', signal);
  }

  forget(lease: string): void {
    this.#leases.delete(lease);
    this.#arrange();
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the session was closed'));
    clearTimeout(this.#wsLeaves);
    for (const { way, prober, lose } of this.#lines.values()) {
      prober.stop();
      way.close();
      lose();
    }
    this.#lines.clear();
    this.#used = undefined;
  }

  /** Starts and ends what the leases need. */
  #arrange(): void {
    if (this.#stop.signal.aborted) return;
    const wanted = new Set([...this.#leases.values()].map(({ carrier }) => carrier));
    if (wanted.has('udp') && !this.#running) {
      this.#running = true;
      void this.#runUdp().catch((error: unknown) => this.#log.error({ err: error }, 'datagrams stumbled'));
    }
    this.#needWs(wanted.has('ws') || (wanted.has('udp') && this.#used !== 'udp' && this.#fellBack));
  }

  async #runUdp(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = 0;
    while (!signal.aborted) {
      const line = await this.#openUdp().catch((error: unknown) => {
        this.#log.info({ reason: asPortalError(error).message }, 'no UDP carrier');
        return undefined;
      });
      if (line) {
        await line.lost;
        // One that held was worth it, and is worth looking for at once.
        if (this.#used === 'udp') pauseMs = 0;
        this.#lines.delete('udp');
        line.way.close();
      }
      if (signal.aborted) return;
      this.#fellBack = true;
      this.#use(this.#lines.get('ws')?.prober.up ? 'ws' : undefined);
      pauseMs = Math.min(Math.max(pauseMs * 2, this.#probeMs), LIMITS.maxUdpRetryMs);
      await delay(pauseMs * (0.75 + Math.random() / 2), signal).catch(() => undefined);
    }
  }

  async #openUdp(): Promise<Line> {
    const { datagramPort } = this.#channel.welcome;
    if (datagramPort === undefined)
      throw new PortalError('capability_missing', 'the relay has no UDP port for agents');
    const opened = await this.#ask('udp');
    const association = Buffer.from(opened.association ?? '', 'hex');
    const secret = this.#channel.exportKey(association);
    if (opened.association === undefined || !secret)
      throw new PortalError('protocol', 'the relay gave no association for datagrams');
    const address = this.#channel.relayAddress;
    return this.#line('udp', (on) =>
      UdpWay.open(address, datagramPort, { secret, association }, this.#drops, on),
    );
  }

  /** Keeps the WebSocket open while it is needed. */
  #needWs(needed: boolean): void {
    if (!needed) {
      if (!this.#keepingWs) return;
      // What is under way there still arrives.
      this.#wsLeaves ??= setTimeout(() => {
        this.#wsLeaves = undefined;
        this.#keepingWs?.abort();
        this.#keepingWs = undefined;
      }, LIMITS.closeMs).unref();
      return;
    }
    clearTimeout(this.#wsLeaves);
    this.#wsLeaves = undefined;
    if (this.#keepingWs) return;
    this.#keepingWs = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, this.#keepingWs.signal]);
    void this.#runWs(signal);
  }

  async #runWs(signal: AbortSignal): Promise<void> {
    let pauseMs: number = LIMITS.minRedialMs;
    while (!signal.aborted) {
      try {
        const { ticket } = await this.#ask('ws');
        if (ticket === undefined) throw new PortalError('protocol', 'the relay gave no ticket for datagrams');
        const line = await this.#line('ws', (on) =>
          openWebSocketWay(this.#endpoint, this.#channel.relayAddress, ticket, on),
        );
        const ended = new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => resolve(), { once: true }),
        );
        await Promise.race([line.lost, ended]);
        if (line.prober.up) pauseMs = LIMITS.minRedialMs;
        line.prober.stop();
        line.way.close();
        if (this.#lines.get('ws') === line) this.#lines.delete('ws');
        if (this.#used === 'ws') this.#use(undefined);
      } catch (error) {
        if (!signal.aborted)
          this.#log.info({ reason: asPortalError(error).message }, 'no WebSocket for datagrams');
      }
      await delay(pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LIMITS.maxRedialMs);
    }
  }

  async #ask(carrier: Carrier): Promise<Opened> {
    const answer = await this.#channel.request({ type: 'datagrams.open', carrier }, this.#stop.signal);
    if (answer.type !== 'datagrams.opened')
      throw new PortalError('protocol', `datagrams.open was answered with ${answer.type}`);
    this.#probeMs = answer.probeMs;
    this.#flowIdleMs = answer.flowIdleMs;
    return answer;
  }

  async #line(carrier: Carrier, open: (on: WayEvents) => Promise<Way>): Promise<Line> {
    let lose!: () => void;
    const lost = new Promise<void>((resolve) => (lose = resolve));
    let line: Line | undefined;
    const read = this.#flows.reader(
      () => line!.writer,
      (sequence) => line!.prober.answered(sequence),
    );
    const way = await open({ frames: read, closed: lose });
    if (this.#stop.signal.aborted) {
      way.close();
      throw new PortalError('aborted', 'the session was closed');
    }
    const writer = new FrameWriter(way, (count) => this.#drops.add('busy', count));
    const ask = (): number => {
      // Nothing else to use, or in use already: then the relay is to send here.
      writer.probe(++this.#sequence, this.#used === undefined || this.#used === carrier);
      writer.flush();
      return this.#sequence;
    };
    const prober = new Prober(ask, this.#probeMs, { up: () => this.#cameUp(carrier), lost: lose });
    line = { way, writer, prober, lost, lose };
    this.#lines.set(carrier, line);
    prober.probe();
    return line;
  }

  #cameUp(carrier: Carrier): void {
    if (carrier === 'udp' || this.#used === undefined) this.#use(carrier);
    this.#tell();
  }

  /** From now on datagrams go there, unless a lease says otherwise; the relay is told by a probe. */
  #use(carrier: Carrier | undefined): void {
    if (carrier !== this.#used) this.#log.info({ carrier: carrier ?? 'none' }, 'carrier of datagrams');
    this.#used = carrier;
    if (carrier === 'udp') this.#fellBack = false;
    if (carrier) this.#lines.get(carrier)?.prober.probe();
    this.#arrange();
    this.#tell();
  }

  #tell(): void {
    for (const look of this.#waiters) look();
  }

  #lineFor(carrier: Carrier | undefined): Line | undefined {
    const line = this.#lines.get(carrier === 'ws' ? 'ws' : (this.#used ?? 'udp'));
    return line?.prober.up ? line : undefined;
  }
}
