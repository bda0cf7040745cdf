import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { abortReason, deferred, delay, within } from '../../lib/wait.js';
import { Drops, type DropReason } from '../../protocol/datagrams/drops.js';
import { FrameWriter } from '../../protocol/datagrams/writer.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromRelay } from '../../protocol/messages.js';
import type { RelayEndpoint } from '../session/relay-endpoint.js';
import type { ControlChannel } from '../session/control.js';
import { SessionFlows, type FlowSink, type ServedLease } from './flows.js';
import { Prober } from './prober.js';
import { openWebSocketPath, UdpPath, type DatagramPath, type PathEvents } from './paths.js';

type Carrier = DatagramPath['carrier'];
type Opened = FromRelay<'datagrams.opened'>;

/** A path to the relay, with its writer and prober. */
interface Line {
  readonly path: DatagramPath;
  readonly writer: FrameWriter;
  readonly prober: Prober;
  /** Resolves when the path is lost or closed. */
  readonly lost: Promise<void>;
  readonly lose: () => void;
}

export interface DatagramStatus {
  /** The carrier in use. */
  readonly carrier: Carrier | undefined;
  /** Packets from the relay that have not arrived since this carrier came up: lost or late. */
  readonly missingPackets: number;
  /** Dropped datagrams by reason. */
  readonly dropped: Partial<Record<DropReason, number>>;
}

/**
 * The agent's side of a session's datagrams. Plain UDP is used while probes over it succeed. Otherwise the WebSocket is used,
 * and plain UDP is retried with increasing delays.
 */
export class AgentDatagrams {
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  readonly #log: Logger;
  readonly #onFallback: (() => void) | undefined;
  readonly #stop = new AbortController();
  readonly #drops = new Drops();
  readonly #leases = new Map<string, ServedLease>();
  readonly #flows: SessionFlows;
  readonly #lines = new Map<Carrier, Line>();
  #used: Carrier | undefined;
  #sequence = 0;
  /** Carriers that are connected. `closeTimer` is set while one is no longer needed. */
  readonly #kept = new Map<Carrier, { until: AbortController; closeTimer: NodeJS.Timeout | undefined }>();
  /** Plain UDP was tried and failed. */
  #fellBack = false;
  #probeMs: number = LIMITS.datagramProbeMs;
  #flowIdleMs: number = LIMITS.flowIdleMs;
  readonly #waiters = new Set<() => void>();

  /** @param onFallback called when the WebSocket replaces UDP */
  constructor(channel: ControlChannel, endpoint: RelayEndpoint, log: Logger, onFallback?: () => void) {
    this.#channel = channel;
    this.#endpoint = endpoint;
    this.#log = log;
    this.#onFallback = onFallback;
    this.#flows = new SessionFlows(
      this.#leases,
      (lease) => this.#lineFor(this.#leases.get(lease)?.carrier)?.writer,
      this.#drops,
    );
  }

  /** How long the relay keeps an idle flow. */
  get flowIdleMs(): number {
    return this.#flowIdleMs;
  }

  status(): DatagramStatus {
    const carrier = this.#wants('udp') ? this.#used : this.#up('ws')?.path.carrier;
    const missingPackets = (carrier && this.#lines.get(carrier)?.path.missing) ?? 0;
    return { carrier, missingPackets, dropped: this.#drops.counts() };
  }

  /** Delivers the visitors of `lease` to `sink` from now on. Resolves once there is a path for them. */
  async serve(lease: string, sink: FlowSink, carrier: Carrier, signal: AbortSignal): Promise<void> {
    // A UDP packet would reveal the agent's address to the relay.
    if (this.#endpoint.via?.hides) carrier = 'ws';
    this.#leases.set(lease, { sink, carrier });
    this.#arrange();
    const up = deferred<void>();
    const look = (): void => {
      if (this.#lineFor(carrier)) up.resolve();
    };
    this.#waiters.add(look);
    look();
    try {
      await within(up.promise, LIMITS.requestMs, 'a datagram path to the relay', signal);
    } finally {
      this.#waiters.delete(look);
    }
  }

  forget(lease: string): void {
    this.#leases.delete(lease);
    this.#arrange();
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the session was closed'));
    this.#used = undefined;
    for (const carrier of ['udp', 'ws'] as const) this.#release(carrier);
  }

  /** Starts and stops carriers as the leases require. */
  #arrange(): void {
    if (this.#stop.signal.aborted) return;
    const wantsUdp = this.#wants('udp');
    this.#keep('udp', wantsUdp, (signal) => this.#runUdp(signal));
    const wantsWs = this.#wants('ws') || (wantsUdp && this.#used !== 'udp' && this.#fellBack);
    this.#keep('ws', wantsWs, (signal) => this.#runWs(signal));
  }

  #wants(carrier: Carrier): boolean {
    for (const lease of this.#leases.values()) if (lease.carrier === carrier) return true;
    return false;
  }

  /** Keeps a carrier connected while it is needed. */
  #keep(carrier: Carrier, needed: boolean, run: (signal: AbortSignal) => Promise<void>): void {
    const kept = this.#kept.get(carrier);
    if (!needed) {
      // Packets in flight still arrive.
      if (kept) kept.closeTimer ??= setTimeout(() => this.#release(carrier), LIMITS.closeMs).unref();
      return;
    }
    if (kept) {
      clearTimeout(kept.closeTimer);
      kept.closeTimer = undefined;
      return;
    }
    const until = new AbortController();
    this.#kept.set(carrier, { until, closeTimer: undefined });
    run(until.signal).catch((error: unknown) => {
      if (!until.signal.aborted) this.#log.error({ err: error, carrier }, 'datagrams failed');
    });
  }

  #release(carrier: Carrier): void {
    const kept = this.#kept.get(carrier);
    if (!kept) return;
    this.#kept.delete(carrier);
    clearTimeout(kept.closeTimer);
    kept.until.abort(new PortalError('aborted', 'the carrier is no longer needed'));
    this.#end(carrier);
    if (this.#used === carrier) this.#use(this.#up(carrier === 'udp' ? 'ws' : 'udp')?.path.carrier);
  }

  #end(carrier: Carrier): void {
    const line = this.#lines.get(carrier);
    if (!line) return;
    this.#lines.delete(carrier);
    line.prober.stop();
    line.path.close();
    line.lose();
  }

  async #runUdp(signal: AbortSignal): Promise<void> {
    let pauseMs = 0;
    while (!signal.aborted) {
      const line = await this.#openUdp(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#log.info({ reason: asPortalError(error).message }, 'no UDP carrier');
        return undefined;
      });
      if (signal.aborted) return;
      if (line) {
        await line.lost;
        if (signal.aborted) return;
        // A carrier that worked is worth an immediate retry.
        if (this.#used === 'udp') pauseMs = 0;
        this.#end('udp');
      }
      this.#fellBack = true;
      this.#use(this.#up('ws') && 'ws');
      pauseMs = Math.min(Math.max(pauseMs * 2, this.#probeMs), LIMITS.maxUdpRetryMs);
      await delay(pauseMs * (0.75 + Math.random() / 2), signal).catch(() => undefined);
    }
  }

  async #openUdp(signal: AbortSignal): Promise<Line> {
    const { datagramPort } = this.#channel.welcome;
    if (datagramPort === undefined)
      throw new PortalError('capability_missing', 'the relay has no UDP port for agents');
    const opened = await this.#ask('udp', signal);
    const association = Buffer.from(opened.association ?? '', 'hex');
    const secret = this.#channel.exportKey(association);
    if (opened.association === undefined || !secret)
      throw new PortalError('protocol', 'the relay returned no association for datagrams');
    const address = this.#channel.relayAddress;
    return this.#line('udp', signal, (on) =>
      UdpPath.open(address, datagramPort, { secret, association }, this.#drops, on),
    );
  }

  async #runWs(signal: AbortSignal): Promise<void> {
    let pauseMs: number = LIMITS.minRedialMs;
    while (!signal.aborted) {
      try {
        const { ticket } = await this.#ask('ws', signal);
        if (ticket === undefined)
          throw new PortalError('protocol', 'the relay returned no ticket for datagrams');
        const line = await this.#line('ws', signal, (on) =>
          openWebSocketPath(this.#endpoint, this.#channel.relayAddress, ticket, on),
        );
        await line.lost;
        if (signal.aborted) return;
        if (line.prober.worked) pauseMs = LIMITS.minRedialMs;
        this.#end('ws');
        if (this.#used === 'ws') this.#use(undefined);
      } catch (error) {
        if (!signal.aborted)
          this.#log.info({ reason: asPortalError(error).message }, 'no WebSocket for datagrams');
      }
      await delay(pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LIMITS.maxRedialMs);
    }
  }

  async #ask(carrier: Carrier, signal: AbortSignal): Promise<Opened> {
    const response = await this.#channel.request({ type: 'datagrams.open', carrier }, signal);
    if (response.type !== 'datagrams.opened')
      throw new PortalError('protocol', `unexpected reply ${response.type} to datagrams.open`);
    this.#probeMs = response.probeMs;
    this.#flowIdleMs = response.flowIdleMs;
    return response;
  }

  async #line(
    carrier: Carrier,
    signal: AbortSignal,
    open: (on: PathEvents) => Promise<DatagramPath>,
  ): Promise<Line> {
    let lose!: () => void;
    const lost = new Promise<void>((resolve) => (lose = resolve));
    let line: Line | undefined;
    const read = this.#flows.reader(
      () => line!.writer,
      (sequence) => line!.prober.replied(sequence),
    );
    // Frames may arrive together with the response to the upgrade, before a reply has a way out. Datagrams may be lost.
    const path = await open({ frames: (frames) => line && read(frames), closed: lose });
    if (signal.aborted) {
      path.close();
      throw abortReason(signal);
    }
    const writer = new FrameWriter(path, (count) => this.#drops.add('busy', count));
    const ask = (): number => {
      // If no other carrier is in use, or this one is, the relay must send here.
      writer.probe(++this.#sequence, this.#used === undefined || this.#used === carrier);
      writer.flush();
      return this.#sequence;
    };
    const prober = new Prober(ask, this.#probeMs, { up: () => this.#cameUp(carrier), lost: lose });
    line = { path, writer, prober, lost, lose };
    this.#lines.set(carrier, line);
    prober.probe();
    return line;
  }

  #cameUp(carrier: Carrier): void {
    if (carrier === 'udp' || this.#used === undefined) this.#use(carrier);
    this.#tell();
  }

  /** Sends datagrams over this carrier from now on, unless a lease requires another. A probe tells the relay. */
  #use(carrier: Carrier | undefined): void {
    if (carrier !== this.#used) this.#log.info({ carrier: carrier ?? 'none' }, 'carrier of datagrams');
    this.#used = carrier;
    if (carrier === 'udp') this.#fellBack = false;
    if (carrier === 'ws' && this.#fellBack && this.#wants('udp')) this.#onFallback?.();
    if (carrier) this.#lines.get(carrier)?.prober.probe();
    this.#arrange();
    this.#tell();
  }

  #tell(): void {
    for (const look of this.#waiters) look();
  }

  /** The connection for a lease with this carrier, if it is up. */
  #lineFor(carrier: Carrier | undefined): Line | undefined {
    return this.#up(carrier === 'ws' ? 'ws' : (this.#used ?? 'udp'));
  }

  #up(carrier: Carrier): Line | undefined {
    const line = this.#lines.get(carrier);
    return line?.prober.up ? line : undefined;
  }
}
