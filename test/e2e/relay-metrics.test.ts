import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMetrics } from '../../src/relay/metrics/metrics.js';
import { METRICS } from '../../src/relay/metrics/table.js';
import { freePort } from '../support/ports.js';
import { samples } from '../support/samples.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, get, httpService, relay, service } from '../support/world.js';
import { Person } from './cli-support.js';
import { sendHello, Peer, settled, tcp, tls } from './relay-peer.js';

/** The contents of a scrape, and what it must not contain. */

describe('metrics', () => {
  it('show what happened, but not to whom', async () => {
    const metrics = await createMetrics({ version: '1.2.3', node: 'v20' });
    const at = await relay({
      ports: { tcp: 'any', udp: 'any' },
      limits: { maxLeasesPerSession: 4 },
      onVisitorWaited: metrics.onVisitorWaited,
    });
    metrics.watch(at);
    const read = async (): Promise<Map<string, number>> => samples(await metrics.text());
    const { port } = await httpService((_request, response) => response.end('x'.repeat(10_000)));
    const echo = await udpService();
    const one = await agent();
    await one.runner.apply(
      desired(
        [at.spec],
        service('tenant-name', port),
        service('echo', echo.port, { mode: 'udp' }),
        service('db', port, { mode: 'tcp', carrier: 'tls' }),
      ),
    );
    await one.event('ready');
    // The agent's own probes are visitors too.
    await settled(() => at.counts().visitors === 0);
    const before = await read();
    await get(at, 'tenant-name.localhost', one.ca);
    const { udpAddr } = (await one.runner.status()).leases.find((lease) => lease.udpAddr)!;
    await (await udpVisitor(Number(udpAddr!.split(':')[1]))).ask('hello');
    await (
      await sendHello(at, 'nobody-has-this.localhost')
    ).closed;
    await tcp(at);
    const peer = await Peer.open(at);
    for (const name of ['a', 'b', 'c', 'd']) await peer.lease(name);
    await expect(peer.lease('e')).rejects.toMatchObject({ code: 'limit_exceeded' });
    await expect(peer.lease('tenant-name')).rejects.toMatchObject({ code: 'name_taken' });
    peer.say('no JSON');
    await peer.closed;
    await settled(() => at.counts().visitors === 0 && at.counts().unrouted === 1);
    const after = await read();
    const grown = (series: string): number => (after.get(series) ?? 0) - (before.get(series) ?? 0);

    expect(after.get('portal_relay_sessions')).toBe(1);
    expect(after.get('portal_relay_leases{kind="tls"}')).toBe(5);
    expect(after.get('portal_relay_leases{kind="tcp"}')).toBe(1);
    expect(after.get('portal_relay_leases{kind="udp"}')).toBe(1);
    expect(after.get('portal_relay_leases_away')).toBe(4);
    expect(after.get('portal_relay_connections_unrouted')).toBe(1);
    expect(after.get('portal_relay_build_info{version="1.2.3",node="v20"}')).toBe(1);
    expect(grown('portal_relay_sessions_opened_total')).toBe(1);
    expect(grown('portal_relay_channels_failed_total{code="protocol"}')).toBe(1);
    expect(grown('portal_relay_requests_failed_total{code="limit_exceeded"}')).toBe(1);
    expect(grown('portal_relay_requests_failed_total{code="name_taken"}')).toBe(1);
    expect(grown('portal_relay_rejected_total{limit="maxLeasesPerSession"}')).toBe(1);
    expect(grown('portal_relay_visitors_unserved_total{reason="unknown_name"}')).toBe(1);
    expect(grown('portal_relay_visitors_served_total{kind="tls"}')).toBe(1);
    expect(grown('portal_relay_visitor_wait_seconds_count')).toBe(1);
    expect(grown('portal_relay_visitors_ended_total{kind="tls",end="ended"}')).toBe(1);
    expect(grown('portal_relay_visitor_bytes_total{kind="tls",to="visitor"}')).toBeGreaterThan(10_000);
    expect(grown('portal_relay_visitor_bytes_total{kind="tls",to="agent"}')).toBeGreaterThan(100);
    expect(grown('portal_relay_datagrams_total{to="agent"}')).toBeGreaterThan(0);
    expect(grown('portal_relay_datagram_bytes_total{to="visitor"}')).toBeGreaterThanOrEqual(5);
    expect(after.get('nodejs_eventloop_lag_seconds')).toBeDefined();

    const text = await metrics.text();
    for (const { name } of METRICS) expect(text).toContain(`# HELP ${name} `);
    const own = text
      .split('\n')
      .filter((line) => line.startsWith('portal_'))
      .join('\n');
    for (const secret of ['tenant-name', 'nobody-has', 'localhost', '127.0.0.1', one.identity.address])
      expect(own.toLowerCase()).not.toContain(secret.toLowerCase());
  });

  it('counters never fall: bytes of an open connection stay counted when it closes', async () => {
    const metrics = await createMetrics({ version: '1', node: 'v20' });
    const at = await relay({ onVisitorWaited: metrics.onVisitorWaited });
    metrics.watch(at);
    const series = 'portal_relay_visitor_bytes_total{kind="tls",to="visitor"}';
    const bytes = async (): Promise<number> => samples(await metrics.text()).get(series) ?? 0;
    const { port } = await httpService((_request, response) => response.end('x'.repeat(100_000)));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port)));
    let last = await bytes();
    const visits = Promise.all(Array.from({ length: 10 }, () => get(at, 'web.localhost', one.ca)));
    const state = { done: false };
    void visits.finally(() => (state.done = true));
    while (!state.done) {
      const now = await bytes();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
      await new Promise(setImmediate);
    }
    expect(await bytes()).toBeGreaterThan(1_000_000);
  });
});

describe('before the first event', () => {
  it('each counter exists with 0, so that rate() sees a first burst', async () => {
    const metrics = await createMetrics({ version: '1', node: 'v20' });
    metrics.watch(await relay());
    const found = [...samples(await metrics.text())];
    for (const { name, type } of METRICS) {
      if (type !== 'counter') continue;
      const own = found.filter(([series]) => series === name || series.startsWith(`${name}{`));
      expect([name, own.length]).not.toEqual([name, 0]);
      expect([name, own.filter(([, value]) => value !== 0)]).toEqual([name, []]);
    }
    const series = found.map(([one]) => one);
    expect(series).toContain('portal_relay_rejected_total{limit="maxPortsPerAddress"}');
    expect(series).toContain('portal_relay_channels_failed_total{code="unauthorized"}');
    expect(series).toContain('portal_relay_visitors_ended_total{kind="tcp",end="idle"}');
  });
});

describe('the certificate of a relay', () => {
  it('shows its expiry, and /healthz fails after it', async () => {
    const metrics = await createMetrics({ version: '1', node: 'v20' });
    const at = await relay();
    metrics.watch(at);
    const endsAt = samples(await metrics.text()).get('portal_relay_certificate_not_after_seconds')! * 1_000;
    expect(endsAt).toBeGreaterThan(Date.now());
    const health = async (): Promise<string> => {
      const asking = await tls(at);
      asking.socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      return (await asking.closed).received.toString();
    };
    expect(await health()).toMatch(/^HTTP\/1\.1 200 .*ok\n$/s);
    vi.useFakeTimers({ toFake: ['Date'], now: endsAt });
    onTestFinished(() => void vi.useRealTimers());
    expect(await health()).toMatch(/^HTTP\/1\.1 503 .*the certificate expired at .*\n$/s);
    expect(at.problem()).toContain('the certificate expired');
  });
});

describe('portal relay --metrics', () => {
  it('serves them on a separate address, on loopback if only a port is given', async () => {
    const operator = await Person.create();
    const http = await freePort();
    const ports = ['--listen', '127.0.0.1:0', '--metrics', '0', '--http-redirect', String(http)];
    const running = operator.start(['relay', '--json', ...ports]);
    const { metrics, url } = (await running.event('listening')) as unknown as {
      metrics: string;
      url: string;
    };
    expect(metrics).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    expect(JSON.parse(await running.line(/relay listening/))).toMatchObject({
      url,
      metrics,
      addresses: [`127.0.0.1:${new URL(url).port}`],
      httpRedirect: [`127.0.0.1:${http}`],
    });
    const response = await fetch(metrics);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(samples(await response.text()).get('portal_relay_sessions')).toBe(0);
    expect(await (await fetch(new URL('/healthz', metrics))).text()).toBe('ok\n');
    expect((await fetch(new URL('/', metrics))).status).toBe(404);
    expect((await fetch(metrics, { method: 'POST', body: 'x' })).status).toBe(405);
    expect(new URL(metrics).port).not.toBe(new URL(url).port);
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
    await expect(fetch(metrics)).rejects.toThrow('fetch failed');
  });

  it('an address in use ends the relay with that error', async () => {
    const operator = await Person.create();
    const { port } = await httpService((_request, response) => response.end());
    const args = ['relay', '--json', '--listen', '127.0.0.1:0', '--metrics', String(port)];
    const { code, stdout } = await operator.run(args);
    expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringContaining('address_in_use') });
  });
});
