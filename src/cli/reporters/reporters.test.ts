import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, test } from 'vitest';
import { capturedOutput } from '../../../test/e2e/cli-support.js';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';
import type { ServedAs } from '../../agent/served-as.js';
import { formatProblem } from '../../config/text/frame.js';
import type { Problem } from '../../config/text/problem.js';
import type { PortalEvent } from '../../reconcile/events.js';
import type { Output } from '../output.js';
import { jsonReporter } from './json.js';
import { plainReporter } from './plain.js';
import type { TimedEvent } from './reporter.js';
import { terminalReporter } from './terminal.js';

const at = (event: PortalEvent): TimedEvent => ({ time: '2026-01-01T00:00:00.000Z', ...event });
const RELAY = 'https://localhost:8443';
const STARTED = at({ event: 'started', pid: 7, file: '/a/portal.yaml', ca: '/a b/ca.pem' });
const READY_LEASE = at({
  event: 'lease',
  service: 'web',
  relay: RELAY,
  phase: 'ready',
  lease: 'id',
  url: 'https://web.localhost:8443',
});
const READY = at({
  event: 'ready',
  services: {
    web: { urls: ['https://web.localhost:8443'], tcp: ['localhost:7000'], udp: [], servedAs: 'http' },
  },
});
const APPLIED: PortalEvent = {
  event: 'applied',
  revision: 1,
  opened: ['web'],
  updated: [],
  replaced: [],
  closed: [],
  kept: [],
  failed: [],
  durationMs: 1,
};
const FAILED = at({
  event: 'lease',
  service: 'web',
  relay: RELAY,
  phase: 'failed',
  error: { code: 'name_taken', message: 'taken\u001b[31m\nfake line', hint: 'Choose another.' },
});
const PROBLEM: Problem = {
  file: 'portal.yaml',
  line: 3,
  column: 5,
  path: '/services/web',
  code: 'config_invalid',
  message: 'no',
  frame: '> 3 | web: x\n    | ^',
};

test('json: one object per line on stdout, time and event first', () => {
  const { output, text } = capturedOutput();
  const stderr = capturedOutput();
  const reporter = jsonReporter({ stdout: output, stderr: stderr.output });
  reporter.warning('not\u001b[31m red');
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  reporter.problems([PROBLEM]);
  reporter.event(STARTED);
  reporter.event(READY);
  const lines = text().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toBe(
    '{"time":"2026-01-01T00:00:00.000Z","event":"started","pid":7,"file":"/a/portal.yaml","ca":"/a b/ca.pem"}',
  );
  expect(JSON.parse(lines[1]!)).toEqual(READY);
  expect(stderr.text()).toBe('warning: not [31m red\n');
});

test('plain: one line per change and a line for its hint on stderr, addresses on stdout', () => {
  const stdout = capturedOutput();
  const stderr = capturedOutput();
  const reporter = plainReporter({
    stdout: stdout.output,
    stderr: stderr.output,
    verbosity: 'normal',
    formatProblem,
  });
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  for (const event of [STARTED, READY_LEASE, READY, FAILED]) reporter.event(event);
  reporter.problems([PROBLEM]);
  expect(stdout.text()).toBe('web https://web.localhost:8443\nweb localhost:7000\n');
  expect(stderr.text().split('\n')).toEqual([
    'all services are ready',
    'certificates are issued by your local CA: /a b/ca.pem; trust it: portal trust --install',
    "try: curl --cacert '/a b/ca.pem' https://web.localhost:8443",
    `web: failed (${RELAY}): taken [31m fake line [name_taken]`,
    '  Choose another.',
    'portal.yaml:3:5: no',
    '  > 3 | web: x',
    '      | ^',
    '',
  ]);
});

test('plain: names the relay of an error once', () => {
  const stderr = capturedOutput();
  const { output: stdout } = capturedOutput();
  const reporter = plainReporter({ stdout, stderr: stderr.output, verbosity: 'normal', formatProblem });
  const error = { code: 'relay_untrusted', message: `the certificate of ${RELAY} is not trusted` };
  reporter.event(at({ event: 'lease', service: 'web', relay: RELAY, phase: 'failed', error }));
  void reporter.close();
  expect(stderr.text()).toBe(`web: failed: the certificate of ${RELAY} is not trusted [relay_untrusted]\n`);
});

/** The hints for services with these modes when they are ready, and after `later`. */
const hints = (as: Record<string, ServedAs>, ...later: PortalEvent[]): string[] =>
  hintsAfter([], as, ...later);
const hintsAfter = (
  before: readonly PortalEvent[],
  as: Record<string, ServedAs>,
  ...later: PortalEvent[]
): string[] => {
  const stdout = capturedOutput();
  const stderr = capturedOutput();
  const reporter = plainReporter({
    stdout: stdout.output,
    stderr: stderr.output,
    verbosity: 'normal',
    formatProblem,
  });
  const services = Object.entries(as).map(([name, servedAs]) => [
    name,
    { urls: [`https://${name}.localhost:8443`], tcp: [], udp: [], servedAs },
  ]);
  const ready: PortalEvent = { event: 'ready', services: Object.fromEntries(services) };
  reporter.begin(
    Object.keys(as).map((service) => ({
      service,
      leases: 1,
      ...(service === 'db' ? { isPrivate: true } : { isLocalCa: service !== 'public' }),
      ...(service === 'locked' && { gate: { curl: "-H 'Portal-Pin: YOUR-PIN'" } }),
    })),
  );
  for (const event of [STARTED, ...before.map(at), at(ready), ...later.map(at)]) reporter.event(event);
  return stderr
    .text()
    .split('\n')
    .filter((line) => /^(try:|certificates|.* is private|.* does not speak HTTP:)/.test(line));
};
const served = (service: string, servedAs: ServedAs): PortalEvent => ({
  event: 'served',
  service,
  servedAs,
  target: 'localhost:3000',
});

const tls = (service: string): string =>
  `${service} does not speak HTTP: connect its client with TLS to ${service}.localhost:8443`;

/** The command to try that a starter of a background agent has printed when it ends. */
const shownAtEnd = async (...events: PortalEvent[]): Promise<string[]> => {
  const stderr = capturedOutput();
  const { output: stdout } = capturedOutput();
  const reporter = plainReporter({ stdout, stderr: stderr.output, verbosity: 'normal', formatProblem });
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  for (const event of [STARTED, ...events.map(at)]) reporter.event(event);
  await reporter.close();
  return stderr
    .text()
    .split('\n')
    .filter((line) => line.startsWith('try:'));
};

describe('how to reach a service', () => {
  const ISSUED = 'certificates are issued by your local CA: /a b/ca.pem; trust it: portal trust --install';
  const CURL = "try: curl --cacert '/a b/ca.pem' https://web.localhost:8443";
  const OPENSSL =
    "try: openssl s_client -quiet -verify_quiet -verify_return_error -CAfile '/a b/ca.pem' -servername web.localhost -connect localhost:8443";

  it('names host and port once for a target that does not speak HTTP', () => {
    const stream = served('web', 'stream');
    expect(hintsAfter([stream], { web: 'stream' }, stream)).toEqual([ISSUED, tls('web'), OPENSSL]);
    expect(hints({ public: 'undecided' }, served('public', 'stream'))).toEqual([tls('public')]);
  });

  it('gives the command for a private service', () => {
    const PRIVATE =
      'db is private; others reach it with: portal connect db.localhost:8443 --identity 0xOWNER';
    const lease: PortalEvent = {
      event: 'lease',
      service: 'db',
      relay: 'embedded:8443',
      phase: 'ready',
      url: 'https://db.localhost:8443',
      privateOf: '0xOWNER',
    };
    expect(hintsAfter([lease], { db: 'stream' }, served('db', 'stream'))).toEqual([PRIVATE]);
    expect(hintsAfter([lease], { db: 'http', web: 'http' }, lease)).toEqual([PRIVATE, ISSUED, CURL]);
    // A later save adds one.
    expect(hints({ web: 'http' }, lease)).toEqual([ISSUED, CURL, PRIVATE]);
  });

  it('suggests curl if any target speaks HTTP', () => {
    expect(hints({ web: 'http' })).toEqual([ISSUED, CURL]);
    expect(hints({ lines: 'stream', later: 'undecided', web: 'http' })).toEqual([ISSUED, CURL]);
  });

  it('suggests a service without a PIN, if there is one', () => {
    const LOCKED = CURL.replace('https://web.', "-H 'Portal-Pin: YOUR-PIN' https://locked.");
    expect(hints({ locked: 'http', web: 'undecided' }, served('web', 'http'))).toEqual([ISSUED, CURL]);
    expect(hints({ locked: 'http', web: 'http' })).toEqual([ISSUED, CURL]);
    expect(hints({ locked: 'http' })).toEqual([ISSUED, LOCKED]);
  });

  it('suggests no command for a folder that does not exist, until it does', () => {
    const web = { urls: ['https://web.localhost:8443'], tcp: [], udp: [], servedAs: 'undecided' } as const;
    const ready: PortalEvent = {
      event: 'ready',
      services: { web: { ...web, urls: [...web.urls], tcp: [], udp: [] } },
      unreachable: ['web'],
    };
    const found = { event: 'target', service: 'web', target: '/nope', reachable: true } as const;
    const shown = (...events: PortalEvent[]): string => {
      const stderr = capturedOutput();
      const reporter = plainReporter({
        stdout: capturedOutput().output,
        stderr: stderr.output,
        verbosity: 'normal',
        formatProblem,
      });
      reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
      for (const event of [STARTED, ...[ready, served('web', 'http'), ...events].map(at)])
        reporter.event(event);
      return stderr.text();
    };
    expect(shown()).not.toContain('try:');
    expect(shown(found)).toContain(CURL);
  });

  it('is printed only for services with a certificate from the local CA', () => {
    expect(hints({ public: 'http' })).toEqual([]);
    expect(hints({ public: 'http', web: 'stream' })).toEqual([ISSUED, OPENSSL]);
  });

  it('names the CA once: not again after the notice that it was created', () => {
    const created = { event: 'notice', kind: 'ca_created', file: '/a b/ca.pem', message: '' } as const;
    expect(hints({ web: 'http' }, served('web', 'http'))).toEqual([ISSUED, CURL]);
    expect(hintsAfter([created], { web: 'http' })).toEqual([CURL]);
  });

  it('suggests a TLS client if no target speaks HTTP', () => {
    expect(hints({ web: 'stream' })).toEqual([ISSUED, OPENSSL]);
  });

  it('waits until the protocol of a target is known, and is printed once', () => {
    expect(hints({ web: 'undecided' })).toEqual([ISSUED]);
    expect(hints({ web: 'undecided' }, served('web', 'http'), served('web', 'stream'))).toEqual([
      ISSUED,
      CURL,
      tls('web'),
    ]);
    expect(hints({ web: 'undecided' }, served('web', 'stream'))).toEqual([ISSUED, tls('web'), OPENSSL]);
    expect(hints({ web: 'undecided' }, served('other', 'http'))).toEqual([ISSUED]);
  });

  it('suggests curl if the starter of a reachable service ends before its protocol is known', async () => {
    const urls = ['https://web.localhost:8443'];
    const ready: PortalEvent = {
      event: 'ready',
      services: { web: { urls, tcp: [], udp: [], servedAs: 'undecided' } },
    };
    expect(await shownAtEnd(ready)).toEqual([CURL]);
    expect(await shownAtEnd(ready, served('web', 'http'))).toEqual([CURL]);
    expect(await shownAtEnd({ ...ready, unreachable: ['web'] })).toEqual([]);
    expect(await shownAtEnd(ready, { event: 'stopped', reason: 'SIGINT' })).toEqual([]);
  });

  it('prefers an HTTP service to one that was decided earlier', () => {
    expect(hints({ lines: 'stream', web: 'undecided' })).toEqual([ISSUED]);
    expect(hints({ lines: 'stream', web: 'undecided' }, served('web', 'http'))).toEqual([ISSUED, CURL]);
    expect(hints({ web: 'stream', late: 'undecided' }, served('late', 'stream'))).toEqual([
      ISSUED,
      tls('late'),
      OPENSSL,
    ]);
  });

  it('is not printed for services without a certificate from the local CA', () => {
    const stderr = capturedOutput();
    const reporter = plainReporter({
      stdout: capturedOutput().output,
      stderr: stderr.output,
      verbosity: 'normal',
      formatProblem,
    });
    reporter.event(at({ event: 'started', pid: 7, file: null }));
    reporter.event(READY);
    expect(stderr.text()).not.toMatch(/try:|certificates/);
  });
});

const onTerminal = (stdout: Output, stderr: Output) =>
  terminalReporter({
    stdout,
    stderr,
    verbosity: 'normal',
    stdin: new PassThrough(),
    env: {},
    formatProblem,
  });

test('terminal: progress by service, then what a pipe needs and how to get through', async () => {
  const stdout = capturedOutput();
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const reporter = onTerminal(stdout.output, stderr.output);
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  for (const event of [STARTED, READY_LEASE, READY]) reporter.event(event);
  await reporter.close();
  await reporter.close();
  expect(stderr.text()).toContain('web');
  expect(stderr.text()).toContain('https://web.localhost:8443');
  expect(stdout.text()).toBe('web https://web.localhost:8443\nweb localhost:7000\n');
  expect(stderr.text()).toContain('curl --cacert');
  // After the progress, each change is one line.
  reporter.event(FAILED);
  expect(stderr.text()).toMatch(/web.*failed.*name_taken/);
});

test('terminal: the first command ends the progress, before any service is ready', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const reporter = onTerminal(capturedOutput().output, stderr.output);
  reporter.begin([{ service: 'web', leases: 1 }]);
  const command = { event: 'command', service: 'web', name: 'web', state: 'waiting' } as const;
  reporter.event(at({ ...command, waitsFor: ['api'] }));
  await expect.poll(() => stderr.text()).toContain('its command waits for api');
  await reporter.close();
});

test('terminal: the protocol next to a URL does not look like a part of it', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const reporter = onTerminal(capturedOutput().output, stderr.output);
  reporter.begin([{ service: 'web', leases: 2 }]);
  reporter.event(READY_LEASE);
  reporter.event(at({ event: 'served', service: 'web', servedAs: 'http', target: 'localhost:3000' }));
  await expect
    .poll(() => stripVTControlCharacters(stderr.text()))
    .toContain('https://web.localhost:8443  (http)');
  await reporter.close();
});

test('terminal: breaks an error in the progress between words', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 40 });
  const reporter = onTerminal(capturedOutput().output, stderr.output);
  reporter.begin([
    { service: 'web', leases: 1 },
    { service: 'api', leases: 1 },
  ]);
  const message = '"web" is taken by another identity. Use another name, such as web-me.';
  reporter.event(at({ ...FAILED, error: { code: 'name_taken', message } } as PortalEvent));
  const drawn = (): string => stripVTControlCharacters(stderr.text());
  await expect.poll(drawn).toContain('[name_taken]');
  const [, error = ''] = /\n( +› [^]*?\[name_taken\])/.exec(drawn())!;
  expect(error.split('\n')).toEqual([
    '  › "web" is taken by another',
    '    identity. Use another name, such',
    '    as web-me. [name_taken]',
  ]);
  await reporter.close();
});

test('terminal: addresses follow the end of the progress, which erases the lines above the cursor', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const stdout = capturedOutput({ isTTY: true, columns: 100 });
  const reporter = onTerminal(stdout.output, stderr.output);
  reporter.begin([{ service: 'web', leases: 1 }]);
  for (const event of [STARTED, READY_LEASE, READY]) reporter.event(event);
  expect(stdout.text()).toBe('');
  await reporter.close();
  expect(stdout.text()).toContain('https://web.localhost:8443');
});

test('terminal: how to reach a service that is decided while the progress ends', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const stdout = capturedOutput();
  const reporter = onTerminal(stdout.output, stderr.output);
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  const services = {
    web: { urls: ['https://web.localhost:8443'], tcp: [], udp: [], servedAs: 'undecided' as const },
  };
  for (const event of [STARTED, READY_LEASE, at({ event: 'ready', services })]) reporter.event(event);
  reporter.event(at({ event: 'served', service: 'web', servedAs: 'http', target: 'localhost:3000' }));
  await reporter.close();
  await expect.poll(() => stderr.text()).toContain('try: curl --cacert');
});

/** A reporter with an open live view, what it printed since, and the leases and relays that the view shows. */
async function withView() {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const state = { leases: [] as LeaseStatus[], relays: [] as RelayStatus[] };
  const reporter = onTerminal(capturedOutput({ isTTY: true, columns: 100 }).output, stderr.output);
  reporter.attach?.(() => ({ ...state, unplaced: [], requests: [], inspector: undefined }));
  reporter.begin([{ service: 'web', leases: 1 }]);
  for (const event of [STARTED, READY_LEASE, READY, at(APPLIED)]) reporter.event(event);
  const shown = (): string => stripVTControlCharacters(stderr.text());
  await expect.poll(shown).toContain('all services are ready');
  const before = shown().length;
  return { reporter, state, printed: (): string => shown().slice(before) };
}

test('terminal: a relay whose key changed and changed back is reported both times', async () => {
  const { reporter, state, printed } = await withView();
  const lost = { code: 'relay_unreachable', message: 'connection lost' };
  const changed = { code: 'relay_key_changed', message: 'another key' };
  state.relays = [{ relay: RELAY, state: 'retrying', since: '', error: lost }];
  const lease = { event: 'lease', service: 'web', relay: RELAY } as const;
  reporter.event(at({ ...lease, phase: 'retrying', error: lost }));
  reporter.event(at({ ...lease, phase: 'failed', error: changed }));
  await expect.poll(printed).toContain('web: failed');
  reporter.event(at({ ...lease, phase: 'connecting' }));
  state.relays = [{ relay: RELAY, state: 'connected', since: '' }];
  reporter.event(READY_LEASE);
  await expect.poll(printed).toContain('web: ready at https://web.localhost:8443');
  await reporter.close();
});

test('terminal: a service that has another port after an outage of its relay gets a line', async () => {
  const { reporter, state, printed } = await withView();
  const lost = { code: 'relay_unreachable', message: 'connection lost' };
  state.relays = [{ relay: RELAY, state: 'retrying', since: '', error: lost }];
  const lease = { event: 'lease', service: 'web', relay: RELAY } as const;
  reporter.event(at({ ...lease, phase: 'retrying', error: lost, tcpAddr: 'relay:1' }));
  state.relays = [{ relay: RELAY, state: 'connected', since: '' }];
  reporter.event(at({ ...lease, phase: 'ready', tcpAddr: 'relay:2' }));
  await expect.poll(printed).toContain('web: ready at relay:2');
  await reporter.close();
});

test('terminal: an outage of a relay leaves one line for all of its services', async () => {
  const { reporter, state, printed } = await withView();
  const lost = { code: 'relay_unreachable', message: 'connection lost' };
  state.relays = [{ relay: RELAY, state: 'retrying', since: '', error: lost }];
  const services = ['web', 'api'] as const;
  const lease = { event: 'lease', relay: RELAY } as const;
  for (const service of services) reporter.event(at({ ...lease, service, phase: 'retrying', error: lost }));
  state.relays = [{ relay: RELAY, state: 'connected', since: '' }];
  for (const service of services) reporter.event(at({ ...lease, service, phase: 'ready' }));
  await expect.poll(printed).toMatch(/: connected again after \d+ s/);
  expect(printed().match(/connected again/g)).toHaveLength(1);
  expect(printed()).not.toContain(': ready at');
  await reporter.close();
});

test.each([
  [
    'of a service that was ready',
    'ready',
    /no longer served:\n {2}web {2}https:\/\/web\.localhost:8443\n[^]*stopped: SIGINT\n/,
  ],
  ['of no service that never was', 'retrying', /no service was published\n[^]*stopped: SIGINT\n/],
] as const)(
  'terminal: the addresses %s stay on the screen after the view has ended',
  async (_whose, phase, left) => {
    const { reporter, state, printed } = await withView();
    const lease = { service: 'web', relay: RELAY, phase, mode: 'http', servedAs: 'http' } as const;
    const counts = { since: '', retries: 0, visitors: 0, bytesIn: 0, bytesOut: 0 };
    const target = 'localhost:3000';
    state.leases = [{ ...lease, ...counts, target, url: 'https://web.localhost:8443' }];
    reporter.event(READY_LEASE);
    await expect.poll(printed).toContain('ADDRESS');
    state.leases = [];
    reporter.event(at({ event: 'stopped', reason: 'SIGINT' }));
    await reporter.close();
    expect(printed()).toMatch(left);
  },
);

test('terminal: a service that fails before anything is drawn is shown as failed', async () => {
  const stderr = capturedOutput({ isTTY: true, columns: 100 });
  const reporter = onTerminal(capturedOutput().output, stderr.output);
  reporter.begin([
    { service: 'web', leases: 1 },
    { service: 'api', leases: 1 },
  ]);
  reporter.event(FAILED);
  reporter.event(at({ event: 'stopped', reason: 'SIGINT' }));
  await reporter.close();
  expect(stderr.text()).toContain('name_taken');
  expect(stderr.text()).toContain('stopped: SIGINT');
});

test('terminal: prints the inspector after the progress', async () => {
  const stdout = capturedOutput({ isTTY: true, columns: 80 });
  const stderr = capturedOutput({ isTTY: true, columns: 80 });
  const reporter = onTerminal(stdout.output, stderr.output);
  reporter.begin([{ service: 'web', leases: 1, isLocalCa: true }]);
  const message = 'port 4040 is in use; the inspector uses 9';
  reporter.event(at({ event: 'notice', kind: 'port_in_use', message, askedPort: 4040, port: 9 }));
  reporter.event(at({ event: 'inspector', url: 'http://127.0.0.1:9/#secret', askedPort: 4040 }));
  expect(stderr.text()).not.toContain('inspector');
  reporter.event(READY_LEASE);
  reporter.event(READY);
  await reporter.close();
  const plain = (): string => stripVTControlCharacters(stderr.text());
  await expect.poll(plain).toContain(`${message}\ninspector: http://127.0.0.1:9/#secret\n`);
  // A later one, immediately after another was removed.
  reporter.event(at({ event: 'inspector', url: 'http://127.0.0.1:4040/#another' }));
  expect(plain()).toContain('inspector: http://127.0.0.1:4040/#another\n');
});
