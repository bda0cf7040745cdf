import { isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { connectError } from '../../agent/session/connect-error.js';
import { fetchFrom, type Fetched } from '../../agent/session/fetch.js';
import { openTcp, relayTls, destinationOf, type RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import { hintFor, missingFor } from '../../agent/capabilities.js';
import { relayKey, type ServiceSpec, type UrlRelay } from '../../agent/spec.js';
import { sameAddress, type LockEntries, type LockEntry } from '../../config/files/lock-file.js';
import { listOf } from '../../config/words/suggest.js';
import { ERRORS } from '../../lib/error-codes.js';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';
import { isLocalhost } from '../../net/resolve.js';
import { proxyName, type ProxyServer } from '../../net/proxy/server.js';
import { readDescriptor, type SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS, PROTOCOL_VERSION } from '../../protocol/limits.js';
import { endpointOf } from '../../reconcile/relays/endpoint.js';
import { proxyFor } from '../proxy.js';
import { servedText } from '../relay/report.js';
import { expiresSoon } from '../../certificates/source.js';
import { formatEnd } from '../text/amounts.js';
import { checkAddresses } from './addresses.js';
import { DNS_DOWN } from './names.js';
import type { RelayContext, RelayFindings } from './relay-findings.js';
import { Subject } from './report.js';
import { inspectUntrusted } from './untrusted.js';

/** Checks a relay with a URL: its name in DNS, its port, TLS, descriptor and key. */

export const STEP_MS = 5_000;
/** A relay accepts the response to a challenge while clocks differ by at most a minute. */
const MAX_SKEW_MS = 60_000;
const NOTED_SKEW_MS = 10_000;
const MAX_HEALTH_BYTES = 1_000;

/** @param services the services that are published on this relay */
export async function checkUrlRelay(
  spec: UrlRelay,
  services: readonly ServiceSpec[],
  context: RelayContext,
): Promise<RelayFindings> {
  const subject = new Subject(`relay ${relayKey(spec)}`);
  const url = new URL(spec.url);
  const domain = url.hostname.replace(/^\[|\]$/g, '');
  const facts = { key: relayKey(spec), domain, port: Number(url.port || 443), isEmbedded: false };
  if (isIP(domain) !== 0) {
    subject.problem(
      'relay.name',
      `${domain} is an IP address`,
      "Use the relay's domain: it accepts no other name.",
    );
    return { subject, facts: { ...facts, addresses: [domain] } };
  }
  let failure: unknown;
  const addresses = await context.names.ofMachine(domain).catch((error: unknown) => {
    failure = error;
    return [];
  });
  let proxy: ProxyServer | undefined;
  try {
    proxy = proxyFor(spec.url);
  } catch (error) {
    subject.failed('relay.proxy', asPortalError(error));
    return { subject, facts: { ...facts, addresses } };
  }
  if (addresses.length > 0) subject.ok('relay.dns', `${domain} resolves to ${addresses.join(', ')}`);
  else if (proxy !== undefined)
    subject.ok('relay.dns', `${domain} has no address in DNS here; the proxy looks it up`);
  else if (failure !== undefined) {
    const message = `DNS does not respond for ${domain} (${systemCode(failure) ?? asPortalError(failure).code})`;
    subject.problem('relay.dns', message, DNS_DOWN.hint, DNS_DOWN.facts);
    return { subject, facts: { ...facts, addresses } };
  } else {
    subject.problem(
      'relay.dns',
      `${domain} has no address in DNS`,
      `Check the name, and that this machine is online. If the relay is yours, create the DNS records ${domain} and *.${domain}.`,
    );
    return { subject, facts: { ...facts, addresses } };
  }
  // Names of this machine have both loopback addresses, and a relay may listen on one.
  if (proxy === undefined && !isLocalhost(domain)) await checkAddresses(addresses, facts.port, subject);
  const descriptor = await checkConnection(spec, proxy, services, context.locked, subject);
  return { subject, facts: { ...facts, addresses }, ...(descriptor && { descriptor }) };
}

/** Connects like an agent, through a proxy if the environment names one. */
async function checkConnection(
  spec: UrlRelay,
  proxy: ProxyServer | undefined,
  services: readonly ServiceSpec[],
  locked: LockEntries | undefined,
  subject: Subject,
): Promise<SignedDescriptor | undefined> {
  const url = new URL(spec.url);
  const through = proxy === undefined ? '' : `, through the proxy ${proxyName(proxy)}`;
  let plain: Socket | undefined;
  let endpoint: RelayEndpoint = { url: spec.url };
  let step = 'relay.tcp';
  try {
    plain = await openTcp(destinationOf(await endpointOf({ kind: 'url', url: spec.url }, proxyFor)), STEP_MS);
    subject.ok(step, `port ${url.port || 443} is open${through}`);
    step = 'relay.tls';
    endpoint = await endpointOf(spec, proxyFor);
    const secure = await tls(endpoint, plain);
    const certificate = secure.getPeerX509Certificate()!;
    const end = new Date(certificate.validTo);
    if (expiresSoon(certificate))
      subject.warning(
        step,
        `its certificate expires on ${formatEnd(end)}`,
        'Tell the operator of the relay.',
        { expiresAt: end.toISOString() },
      );
    else
      subject.ok(step, `its certificate is trusted, until ${formatEnd(end)}`, {
        expiresAt: end.toISOString(),
      });
    step = 'relay.descriptor';
    const descriptor = checkDescriptor(await describe(endpoint), url, services, subject);
    if (descriptor && locked) checkKey(descriptor.address, locked.get(url.origin), subject);
    if (descriptor) await checkHealth(endpoint, subject);
    return descriptor;
  } catch (error) {
    const failure = connectError(error, endpoint);
    if (failure.code === 'relay_untrusted') await explainUntrusted(spec, failure, subject);
    else subject.failed(step, failure);
    return undefined;
  } finally {
    plain?.destroy();
  }
}

/** Another server may use the port, and its certificate tells which. */
async function explainUntrusted(spec: UrlRelay, failure: PortalError, subject: Subject): Promise<void> {
  try {
    const { certificate, isRelay } = await inspectUntrusted(await endpointOf(spec, proxyFor), STEP_MS);
    const hint = isRelay ? failure.hint : 'No relay responds at this URL. Check its name and port.';
    subject.problem('relay.tls', `${failure.message} (${certificate})`, hint);
  } catch {
    subject.failed('relay.tls', failure);
  }
}

async function tls(endpoint: RelayEndpoint, plain: Socket): Promise<TLSSocket> {
  const secure = relayTls(endpoint, plain);
  const { host } = new URL(endpoint.url);
  const done = new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve).once('error', reject);
    secure.once('close', () =>
      reject(new PortalError('relay_unreachable', `${host} closed the connection during the TLS handshake`)),
    );
  });
  await within(done, STEP_MS, `the TLS handshake with ${host}`);
  secure.on('error', () => undefined);
  return secure;
}

interface Described extends Fetched {
  /** How far the relay's clock is ahead of ours; undefined without a Date header. */
  readonly skewMs: number | undefined;
}

async function describe(endpoint: RelayEndpoint): Promise<Described> {
  const sentAt = Date.now();
  const options = { path: PATHS.relay, ms: STEP_MS, maxBytes: LIMITS.maxRelayListBytes };
  const fetched = await fetchFrom(endpoint, options);
  const date = Date.parse(fetched.headers.date ?? '');
  // The Date header is rounded down to seconds, so add half a second, and compare with the middle of the round trip.
  const now = (sentAt + Date.now()) / 2;
  return { ...fetched, skewMs: Number.isNaN(date) ? undefined : date + 500 - now };
}

function checkDescriptor(
  { status, text, skewMs }: Described,
  url: URL,
  services: readonly ServiceSpec[],
  subject: Subject,
): SignedDescriptor | undefined {
  checkClock(skewMs, subject);
  const descriptor = status === 200 ? parse(text) : undefined;
  if (!descriptor) {
    const message = `${url.host} responds, but is not a relay (HTTP ${status})`;
    subject.problem('relay.descriptor', message, 'Check the URL.');
    return undefined;
  }
  if (descriptor instanceof PortalError) {
    const hint = descriptor.hint ?? ERRORS.descriptor_invalid.remedy;
    subject.problem('relay.descriptor', descriptor.message, hint);
    return undefined;
  }
  subject.ok(
    'relay.descriptor',
    `the relay with key ${descriptor.address} serves ${listOf(servedText(descriptor.capabilities), 'and')}`,
  );
  if (!descriptor.protocols.includes(PROTOCOL_VERSION)) {
    const spoken = descriptor.protocols.join(', ');
    subject.problem(
      'relay.protocol',
      `the relay speaks protocol version ${spoken}, and this Portal version ${PROTOCOL_VERSION}`,
      'Update the older of the two.',
    );
  }
  checkOffer(descriptor, services, subject);
  return descriptor;
}

/** Checks that a relay has the capabilities that its services need. */
export function checkOffer(
  descriptor: SignedDescriptor,
  services: readonly ServiceSpec[],
  subject: Subject,
): void {
  for (const service of services) {
    const missing = missingFor(service, descriptor);
    if (missing.length > 0)
      subject.problem(
        'relay.capabilities',
        `the relay does not offer ${missing.join(', ')}, which service ${service.service} needs`,
        hintFor(missing),
      );
  }
}

/** What the relay itself knows to be wrong: its database, say, or its main process. */
async function checkHealth(endpoint: RelayEndpoint, subject: Subject): Promise<void> {
  const check = 'relay.health';
  const hint = 'Tell the operator of the relay.';
  const options = { path: PATHS.health, ms: STEP_MS, maxBytes: MAX_HEALTH_BYTES };
  try {
    const { status, text } = await fetchFrom(endpoint, options);
    const [reason = ''] = text.trim().split('\n');
    if (status === 503) subject.problem(check, `the relay reports a problem: ${reason}`, hint);
    else if (status === 200 && reason !== 'ok')
      subject.warning(check, `the relay serves visitors, but reports a problem: ${reason}`, hint);
  } catch (error) {
    subject.warning(
      check,
      `the relay does not say whether it is healthy: ${asPortalError(error).message}`,
      hint,
    );
  }
}

/** Compares the relay's key with portal.lock. The relay only claims this key here; an agent verifies it. */
function checkKey(address: string, entry: LockEntry | undefined, subject: Subject): void {
  if (!entry) subject.ok('relay.key', 'its key is not in portal.lock yet; the first session adds it');
  else if (sameAddress(entry.address, address)) subject.ok('relay.key', 'its key matches portal.lock');
  else
    subject.problem(
      'relay.key',
      `its key is now ${address}, but portal.lock, line ${entry.line}, has ${entry.address}`,
      ERRORS.relay_key_changed.remedy,
    );
}

function checkClock(skewMs: number | undefined, subject: Subject): void {
  if (skewMs === undefined) return;
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  const message = `this machine's clock is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the relay's`;
  const hint = 'Set the clock, or turn on NTP: proofs of identity contain the time.';
  if (Math.abs(skewMs) > MAX_SKEW_MS) subject.problem('relay.clock', message, hint);
  else if (Math.abs(skewMs) > NOTED_SKEW_MS) subject.warning('relay.clock', message, hint);
  else subject.ok('relay.clock', 'its clock agrees with this machine');
}

/** The descriptor, or why it is invalid; undefined if the text is not JSON. */
function parse(text: string): SignedDescriptor | PortalError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  try {
    return readDescriptor(value, new Date());
  } catch (error) {
    return asPortalError(error);
  }
}
