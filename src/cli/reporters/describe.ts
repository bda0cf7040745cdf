import { listOf } from '../../config/words/suggest.js';
import type {
  ErrorSummary,
  LeaseStatus,
  PublicAddress,
  ReplicasStatus,
  Unproven,
} from '../../agent/status.js';
import { isLoopback } from '../../net/target/target.js';
import type { CommandExit, PortalEvent, ServiceAddresses } from '../../reconcile/events.js';
import type { Notice } from '../../reconcile/notices.js';
import { formatWait } from '../text/amounts.js';
import type { StopReason } from '../interrupts.js';
import { printable, type Style } from '../text/style.js';
import { describeHeld } from './describe-held.js';

type Lease = Extract<PortalEvent, { event: 'lease' }>;
type Ready = Extract<PortalEvent, { event: 'ready' }>;
type Served = Extract<PortalEvent, { event: 'served' }>;
type Target = Extract<PortalEvent, { event: 'target' }>;
type Health = Extract<PortalEvent, { event: 'health' }>;
type Inspector = Extract<PortalEvent, { event: 'inspector' }>;
type Command = Extract<PortalEvent, { event: 'command' }>;
type Applied = Extract<PortalEvent, { event: 'applied' }>;

/** One line about an event, for a person. */
export function describeEvent(event: PortalEvent, style: Style): string {
  switch (event.event) {
    case 'started':
      return describeStarted(event);
    case 'lease':
      return describeLease(event, style);
    case 'unplaced':
      return `${style.bold(event.service)}: ${style.yellow('no relay')}: ${errorLines(event.error).join('\n')}`;
    case 'ready':
      return describeReady(event, style);
    case 'applied':
      return describeApplied(event, style);
    case 'rejected':
      return style.yellow(describeRejected(event));
    case 'inspector':
      return describeInspector(event, style);
    case 'served':
      return describeServed(event, style);
    case 'target':
      return describeTarget(event, style);
    case 'health':
      return describeHealth(event, style);
    case 'command':
      return describeCommand(event, style);
    case 'output':
      return `${style.cyan(`${event.name} |`)} ${printable(event.text)}`;
    case 'notice':
      return NEEDS_ACTION.has(event.kind) ? style.yellow(printable(event.message)) : printable(event.message);
    case 'unserved':
      return `${style.bold(event.service)}: ${style.yellow(describeUnserved({ [event.reason]: event.count }))} ${style.dim(`(${relayName(event.relay)})`)}`;
    case 'refused':
      return `${style.bold(event.service)}: rejected a visitor from ${printable(event.remote)} (${printable(event.reason)})`;
    case 'held':
    case 'delivered':
    case 'expired':
      return describeHeld(event, style);
    default:
      return `stopped: ${STOP_REASONS[event.reason] ?? printable(event.reason)}${disconnectedText(event)}`;
  }
}

function describeStarted({ pid, file, metrics }: Extract<PortalEvent, { event: 'started' }>): string {
  const of = file === null ? '' : ` for ${file}`;
  return `started (pid ${pid})${of}${metrics === undefined ? '' : `; metrics at ${metrics}`}`;
}

/** Notices about services that visitors cannot reach, or soon cannot. */
const NEEDS_ACTION: ReadonlySet<Notice['kind']> = new Set([
  'dns_missing',
  'command_port',
  'certificate_failed',
  'certificate_expires',
  'sign_in_failed',
]);

/** In words, where the reason of the event is not the name of a signal or an error code. */
const STOP_REASONS: Readonly<Record<string, string>> = {
  down: 'portal down',
  'starter exited': 'its start failed or was interrupted',
  'output closed': 'its output was closed',
} satisfies Partial<Record<StopReason, string>>;

function disconnectedText({ disconnected = 0 }: Extract<PortalEvent, { event: 'stopped' }>): string {
  return disconnected === 0 ? '' : `; disconnected ${visitorsText(disconnected)}`;
}

export const visitorsText = (count: number): string => (count === 1 ? '1 visitor' : `${count} visitors`);

function describeRejected({ errors }: Extract<PortalEvent, { event: 'rejected' }>): string {
  if (errors.some(({ code }) => code === 'config_not_found'))
    return 'the configuration file was deleted; services keep running unchanged';
  return errors.every(({ code }) => code === 'config_not_allowed')
    ? 'the last save asks for more than you allowed; services keep running unchanged'
    : 'the last save has errors; services keep running unchanged';
}

function describeLease(event: Lease, style: Style): string {
  const service = style.bold(event.service);
  const where = publicAddress(event);
  const isNamed = event.error?.message.includes(event.relay) === true;
  const via = isNamed ? '' : style.dim(` (${relayName(event.relay)})`);
  const why = event.error ? `: ${errorLines(event.error).join('\n')}` : '';
  switch (event.phase) {
    case 'ready':
      return `${service}: ${readiness(event, style)} at ${where ?? relayName(event.relay)}${otherPort(event)}${unprovenWhy(event)}${event.unreachable ? '; the target is down' : ''}`;
    case 'failed':
      return `${service}: ${style.red('failed')}${via}${why}`;
    case 'retrying':
      return `${service}: ${style.yellow('retrying')}${via}${event.nextInMs === undefined ? '' : `, ${nextTry(event.nextInMs)}`}${why}`;
    default:
      return `${service}: ${event.phase}${via}${why}`;
  }
}

/** A service whose target is down is published, and its visitors get an error. */
function readiness({ unproven, unreachable }: Pick<Lease, 'unproven' | 'unreachable'>, style: Style): string {
  if (unproven) return style.yellow(UNVERIFIED);
  return unreachable ? style.yellow('published') : style.green('ready');
}

/** The relay opened the lease, but no visitor is known to have reached it. */
export const UNVERIFIED = 'ready (unverified)';

function unprovenWhy({ unproven, ...address }: Lease): string {
  return unproven ? `: ${describeUnproven(unproven, address)}` : '';
}

/** Why a ready lease is unproven, and what to do about a port of its own. The end of a sentence. */
export function describeUnproven(unproven: Unproven, address: PublicAddress): string {
  const port = portToOpen(address);
  const advice =
    port === undefined
      ? ''
      : `; if visitors cannot connect either, open ${port} in the firewall of the relay's server`;
  return `${describeVisits(unproven)}${advice}`;
}

/** The service's own port at the relay, as `20005/tcp`. Undefined if it has none, or if the relay is on this machine. */
export function portToOpen({ tcpAddr, udpAddr }: PublicAddress): string | undefined {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(tcpAddr ?? udpAddr ?? '') ?? [];
  if (host === undefined || isLoopback(host)) return undefined;
  return `${port}/${tcpAddr === undefined ? 'udp' : 'tcp'}`;
}

/** The agent's own visits to a lease that is unproven. */
export function describeVisits({ failures, reason }: Unproven): string {
  if (failures === 0) return printable(reason);
  const visits = failures === 1 ? "the agent's own visit" : `the agent's last ${failures} visits`;
  return `${visits} timed out (${printable(reason)}); the agent retries`;
}

const UNSERVED: Readonly<Record<string, string>> = {
  timed_out: 'no data connection in time',
  too_many_bytes: 'too many bytes while waiting',
  queue_full: 'the queue was full',
  visitor_limit: 'the limit of visitors is reached',
};

/** Ids of other agents that a line shows. */
const MAX_REPLICAS_SHOWN = 4;

export function describeReplicas({ use, others }: ReplicasStatus): string {
  if (others.length === 0) return `replica: ${use}; no other agent serves this name`;
  const shown = others
    .slice(0, MAX_REPLICAS_SHOWN)
    .map((one) => `${printable(one.agent)} (${printable(one.use)})`);
  const more = others.length > shown.length ? `, and ${others.length - shown.length} more` : '';
  const [agents, serve] = others.length === 1 ? ['agent', 'serves'] : ['agents', 'serve'];
  return `replica: ${use}; ${others.length} other ${agents} ${serve} this name: ${shown.join(', ')}${more}`;
}

/** How many visitors a relay gave up on, and why. */
export function describeUnserved(counts: Readonly<Record<string, number>>): string {
  const reasons = Object.entries(counts).map(
    ([reason, count]) => `${count} (${UNSERVED[reason] ?? printable(reason)})`,
  );
  return `the relay could not serve visitors: ${reasons.join(', ')}`;
}

function describeReady({ unproven = [], unreachable = [] }: Ready, style: Style): string {
  return [
    unreachable.length === 0 ? style.green('all services are ready') : 'all services are published',
    unproven.length > 0 && style.yellow(`unverified: ${firstNames(unproven)}`),
    unreachable.length > 0 && style.yellow(`target down: ${firstNames(unreachable)}`),
  ]
    .filter(Boolean)
    .join(', ');
}

function describeInspector({ url }: Inspector, style: Style): string {
  return `inspector: ${style.cyan(url)}`;
}

function describeServed({ service, servedAs, target }: Served, style: Style): string {
  const why = servedAs === 'http' ? 'speaks HTTP' : 'does not speak HTTP';
  return `${style.bold(service)}: served as ${servedAs} (${printable(target)} ${why})`;
}

function describeTarget({ service, target, routes, error }: Target, style: Style): string {
  const name = style.bold(printable(nameOf(service, routes)));
  if (error === undefined) return `${name}: ${printable(target)} is reachable`;
  return `${name}: ${style.yellow('unreachable')}: ${printable(error)}`;
}

/** The service with its only route, as its command is named; or with several routes. */
function nameOf(service: string, routes: readonly string[] = []): string {
  const [first = '/', ...others] = routes;
  if (others.length > 0) return `${service} (routes ${listOf(routes, 'and')})`;
  return first === '/' ? service : service + first;
}

function describeHealth({ service, error }: Health, style: Style): string {
  if (error === undefined) return `${style.bold(service)}: healthy again`;
  return `${style.bold(service)}: ${style.yellow('unhealthy')}: ${printable(error)}; visitors still reach it`;
}

function describeCommand({ name, state, pid, exit, nextInMs, waitsFor = [] }: Command, style: Style): string {
  const label = style.bold(printable(name));
  switch (state) {
    case 'waiting':
      return `${label}: its command waits for ${firstNames(waitsFor)}`;
    case 'running':
      return `${label}: started its command (pid ${pid})`;
    case 'exited':
      return `${label}: ${style.yellow(exit ? describeExit(exit) : 'its command exited')}; ${nextStart(nextInMs)}`;
    default:
      return `${label}: stopped its command`;
  }
}

/** How a program ended, in words. */
export function describeExit({ code, signal, error }: CommandExit): string {
  if (error !== undefined) return `its command did not start: ${printable(error)}`;
  return signal === null
    ? `its command exited with code ${code}`
    : `its command was ended by ${printable(signal)}`;
}

const nextStart = (ms = 0): string => `next start in ${formatWait(ms)}`;

const otherPort = (lease: Lease): string =>
  lease.askedPort === undefined ? '' : ` (not port ${lease.askedPort}: ${whyOtherPort(lease)})`;

/** Why the relay did not assign the requested port. */
export function whyOtherPort({
  askedPort = 0,
  portRange,
}: Pick<LeaseStatus, 'askedPort' | 'portRange'>): string {
  if (portRange === undefined) return 'it is in use, or the relay does not offer it';
  const { from, to } = portRange;
  if (askedPort < from || askedPort > to) return `the relay offers the ports ${from}-${to}`;
  return 'it is in use, or reserved for another identity';
}

/** The readable form of a relay's key. A chain starts with the visitors' side. */
export function relayName(key: string): string {
  return printable(key.replaceAll(',', ' ← '));
}

/** A lease, and how its service is served if that is known. */
type Addressed = Pick<Lease, 'url' | 'tcpAddr' | 'udpAddr' | 'privateOf'> &
  Partial<Pick<LeaseStatus, 'mode' | 'servedAs'>>;

/** The public address of the lease: a URL, or a port. */
export function publicAddress(lease: Addressed): string | undefined {
  const address = lease.url ?? lease.tcpAddr ?? lease.udpAddr;
  if (address === undefined) return undefined;
  // No browser opens a private service.
  if (lease.url !== undefined && lease.privateOf !== undefined) return printable(placeOf(lease.url));
  // In mode auto the target has shown that it does not speak HTTP. Mode stream may be HTTP.
  const isHttp = lease.mode !== 'auto' || lease.servedAs !== 'stream';
  return printable(lease.url === undefined || isHttp ? address : `tls://${hostAndPort(address)}`);
}

/** Clients of other protocols need the port. */
export function hostAndPort(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || 443}`;
}

/** What `portal connect` takes. */
export const placeOf = (url: string): string => hostAndPort(url).replace(/:443$/, '');

/** An error on one line, for a cell or the middle of a sentence. */
export function describeError(error: ErrorSummary): string {
  return errorLines(error)
    .map((line) => line.trim())
    .join(' ');
}

/** When the next attempt is due. */
export const nextTry = (ms: number): string => `next try in ${formatWait(ms)}`;

/** An error, and its hint on an indented line of its own. */
export function errorLines({ code, message, hint }: ErrorSummary): string[] {
  return [`${printable(message)} [${printable(code)}]`, ...(hint ? [`  ${printable(hint)}`] : [])];
}

function describeApplied(event: Applied, { yellow }: Style): string {
  const { opened, updated, replaced, failed, exposed = [], expired = [], retiring = {} } = event;
  const closed = event.closed.filter((service) => !expired.includes(service));
  const changes = Object.entries({ opened, updated, replaced, closed, expired, failed })
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what} ${firstNames(names)}`);
  const still = Object.entries(retiring).map(([service, count]) => `${service}: ${describeRetiring(count)}`);
  const hasOnlyExpired = expired.length > 0 && changes.length === 1;
  const what = [changes.join('; ') || 'no change', ...still].join('; ');
  const opens = exposed.length === 1 ? 'opens' : 'open';
  const wider = exposed.length === 0 ? '' : yellow(`; ! ${firstNames(exposed)} ${opens} to more people`);
  const began = hasOnlyExpired ? '' : 'applied the configuration: ';
  return `${began}${what} (${Math.round(event.durationMs)} ms)${wider}`;
}

/** More names than this are counted. */
const MAX_NAMES = 5;
const SHOWN_NAMES = 3;

/** All names, or the first ones and how many more there are. */
export function firstNames(names: readonly string[]): string {
  if (names.length <= MAX_NAMES) return names.join(', ');
  return `${names.slice(0, SHOWN_NAMES).join(', ')} and ${names.length - SHOWN_NAMES} more`;
}

/** The gates of a lease, and how many visitors each rejected. Undefined if there is neither. */
export function describeGates({ gates = {}, refused = {} }: LeaseStatus): string | undefined {
  const counts: Readonly<Record<string, number>> = refused;
  const set = Object.entries(gates).map(([gate, admitted]) => {
    const count = counts[gate] ?? 0;
    return count > 0 ? `${admitted} (${count} rejected)` : admitted;
  });
  const removed = Object.entries(counts)
    .filter(([gate]) => !(gate in gates))
    .map(([gate, count]) => `${count} rejected before by ${gate}`);
  if (set.length + removed.length === 0) return undefined;
  return printable(`access: ${[...(set.length > 0 ? set : ['everyone']), ...removed].join('; ')}`);
}

/** Visitors that still use the previous configuration. */
export function describeRetiring(count: number): string {
  const visitors = count === 1 ? '1 visitor is' : `${count} visitors are`;
  return `${visitors} still on the previous configuration`;
}

/** Rows of `service address`, with every public address of every service. */
export function addressRows(
  services: Readonly<Record<string, ServiceAddresses>>,
): { service: string; address: string }[] {
  return Object.entries(services).flatMap(([service, { urls, tcp, udp }]) =>
    [...urls, ...tcp, ...udp].map((address) => ({ service, address: printable(address) })),
  );
}
