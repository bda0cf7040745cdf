import { FOREIGN_NAMES } from '../../../config/words/foreign.js';
import { fieldsOf, listOf, routeTo, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/**
 * The configuration of a locally managed tunnel of cloudflared: `ingress` rules
 * (https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/local-management/configuration-file/).
 */
export function fromCloudflared(file: Fields, draft: Draft): void {
  const services = new Map<string, Known>();
  const single = file['url'] === undefined ? [] : [{ service: file['url'] }];
  for (const rule of [...single, ...listOf(file['ingress'])].map(fieldsOf)) {
    const hostname = textOf(rule['hostname']);
    const to = textOf(rule['service']);
    // The last rule has no hostname, and responds to all other requests, as Portal does with 404.
    if (to === undefined || (to === 'http_status:404' && hostname === undefined)) continue;
    if (/^(hello_world|bastion|socks-proxy|http_status:\d+|unix\+tls:.*)$/.test(to)) {
      draft.note(`${hostname ?? to}: \`service: ${to}\` has no counterpart and was not converted.`);
      continue;
    }
    addRule(
      { rule, hostname, to },
      services,
      { ...fieldsOf(file['originRequest']), ...fieldsOf(rule['originRequest']) },
      draft,
    );
  }
  const read = ['ingress', 'url', 'originRequest', 'tunnel', 'credentials-file'];
  draft.noteRest({ program: FOREIGN_NAMES.cloudflared }, file, read);
}

interface Known {
  readonly name: string;
  /** The settings of its first rule with https, which hold for all its routes. */
  tls: Fields | undefined;
}

interface Rule {
  readonly rule: Fields;
  readonly hostname: string | undefined;
  readonly to: string;
}

function addRule(
  { rule, hostname, to }: Rule,
  services: Map<string, Known>,
  origin: Fields,
  draft: Draft,
): void {
  const label = hostname?.replace(/^\*\./, '').split('.')[0] ?? 'web';
  const target = draft.target(label, to);
  if (target === undefined) return;
  const path = plainPath(textOf(rule['path']));
  // Without its path, the service would publish more than before.
  if (rule['path'] !== undefined && path === undefined)
    return draft.note(
      `${label}: the path ${JSON.stringify(rule['path'])} was not converted: it is a pattern, and routes of Portal are prefixes.`,
    );
  const isHttps = to.startsWith('https:');
  const key = hostname ?? label;
  const known = services.get(key);
  notePattern(label, textOf(rule['path']), path, draft);
  if (!isHttps) noteUnusedTls(label, fieldsOf(rule['originRequest']), draft);
  const shared = known && draft.services.get(known.name);
  if (known && shared && (path !== undefined || shared.routes)) {
    if (isHttps && known.tls) noteOwnTls(known.name, known.tls, { path: path ?? '/', origin }, draft);
    else if (isHttps) setTargetTls(shared, (known.tls = origin));
    draft.noteRest({ service: known.name }, fieldsOf(rule['originRequest']), ORIGIN_KEYS);
    return addRoute(shared, path ?? '/', target, hostOfRoute(shared, origin));
  }
  const service: DraftService =
    path === undefined ? { target } : { routes: { [path]: routeTo(path, target) } };
  if (/^(tcp|ssh|rdp|smb):/.test(to)) service.mode = 'tcp';
  if (isHttps) setTargetTls(service, origin);
  const host = textOf(origin['httpHostHeader']);
  if (host !== undefined) service.host = host;
  const added = draft.add(label, service);
  services.set(key, { name: added, tls: isHttps ? origin : undefined });
  if (hostname !== undefined) draft.noteHostnames(added, [hostname]);
  else if (services.size > 1)
    draft.note(`${added}: it served every other hostname. Here it has a name of its own.`);
  draft.noteRest({ service: added }, origin, ORIGIN_KEYS);
  draft.noteRest({ service: added }, rule, ['hostname', 'service', 'path', 'originRequest']);
}

const TLS_KEYS = ['noTLSVerify', 'originServerName', 'caPool'];
const ORIGIN_KEYS = ['httpHostHeader', ...TLS_KEYS];

function setTargetTls(service: DraftService, origin: Fields): void {
  const [ca, serverName] = [textOf(origin['caPool']), textOf(origin['originServerName'])];
  const targetTls = {
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { serverName }),
    ...(origin['noTLSVerify'] === true && { insecureSkipVerify: true }),
  };
  if (Object.keys(targetTls).length > 0) service.targetTls = targetTls;
}

/** TLS settings of a rule whose target has no TLS. */
function noteUnusedTls(label: string, origin: Fields, draft: Draft): void {
  const unused = TLS_KEYS.filter((key) => key in origin).map((key) => `\`${key}\``);
  if (unused.length > 0)
    draft.note(
      `${label}: ${unused.join(', ')} ${unused.length === 1 ? 'was' : 'were'} dropped, because the target has no https.`,
    );
}

/** A pattern that became a prefix may match other paths than before. */
function notePattern(
  label: string,
  pattern: string | undefined,
  path: string | undefined,
  draft: Draft,
): void {
  if (pattern !== undefined && /[$*^]/.test(pattern))
    draft.note(`${label}: the pattern ${JSON.stringify(pattern)} became the prefix ${path}.`);
}

/** Names the TLS settings in which a rule differs from its service. */
function noteOwnTls(
  name: string,
  tls: Fields,
  { path, origin }: { path: string; origin: Fields },
  draft: Draft,
): void {
  const own = TLS_KEYS.filter((key) => JSON.stringify(origin[key]) !== JSON.stringify(tls[key]));
  if (own.length > 0)
    draft.note(
      `${name}: not converted for the route ${path}: ${own.map((key) => `\`${key}\``).join(', ')}. All routes of a service share \`targetTls\`.`,
    );
}

/** A route has a host of its own if it differs from its service's. */
function hostOfRoute(service: DraftService, origin: Fields): string | undefined {
  const host = textOf(origin['httpHostHeader']);
  return host === service.host ? undefined : (host ?? 'visitor');
}

function addRoute(
  service: DraftService,
  path: string,
  target: string | number,
  host: string | undefined,
): void {
  if (service.target !== undefined) {
    service.routes = { '/': service.target };
    delete service.target;
  }
  service.routes = { ...service.routes, [path]: routeTo(path, target, host) };
}

/** cloudflared uses regular expressions. One that only anchors the start is a prefix. */
function plainPath(path: string | undefined): string | undefined {
  const prefix = path?.replace(/^\^/, '').replace(/(\/?\.?\*|\/)?\$?$/, '');
  if (prefix === undefined || !/^\/?[\w\-~/]+$/.test(prefix)) return undefined;
  return prefix.startsWith('/') ? prefix : `/${prefix}`;
}
