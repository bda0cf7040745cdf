import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/**
 * The configuration of a locally managed tunnel of cloudflared: `ingress` rules
 * (https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/local-management/configuration-file/).
 */
export function fromCloudflared(file: Fields, draft: Draft): void {
  const services = new Map<string, string>();
  for (const rule of listOf(file['ingress']).map(fieldsOf)) {
    const hostname = textOf(rule['hostname']);
    const to = textOf(rule['service']);
    // The last rule has no hostname, and answers all other requests.
    if (to === undefined || to.startsWith('http_status:')) continue;
    if (/^(hello_world|bastion|socks-proxy)$/.test(to)) {
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
}

interface Rule {
  readonly rule: Fields;
  readonly hostname: string | undefined;
  readonly to: string;
}

function addRule(
  { rule, hostname, to }: Rule,
  services: Map<string, string>,
  origin: Fields,
  draft: Draft,
): void {
  const label = hostname?.replace(/^\*\./, '').split('.')[0] ?? 'web';
  const target = draft.target(label, to.replace(/^unix\+tls:/, 'unix:'));
  if (target === undefined) return;
  const path = plainPath(textOf(rule['path']));
  if (rule['path'] !== undefined && path === undefined)
    draft.note(
      `${label}: the path ${JSON.stringify(rule['path'])} is a pattern. Routes of Portal are prefixes.`,
    );
  const key = hostname ?? label;
  const known = services.get(key);
  if (known !== undefined && path !== undefined) return addRoute(draft.services.get(known)!, path, target);
  if (known !== undefined && draft.services.get(known)?.routes)
    return addRoute(draft.services.get(known)!, '/', target);
  const service: DraftService = path === undefined ? { target } : { routes: { [path]: target } };
  if (/^(tcp|ssh|rdp|smb):/.test(to)) service.mode = 'tcp';
  if (origin['noTLSVerify'] === true && to.startsWith('https:'))
    service.targetTls = { insecureSkipVerify: true };
  const host = textOf(origin['httpHostHeader']);
  if (host !== undefined) service.host = host;
  const added = draft.add(label, service);
  services.set(key, added);
  if (hostname !== undefined)
    draft.note(
      `${added}: for ${hostname}, set its DNS records and write \`hostname: ${hostname}\` (docs/guides/certificates.md).`,
    );
}

function addRoute(service: DraftService, path: string, target: string | number): void {
  if (service.target !== undefined) {
    service.routes = { '/': service.target };
    delete service.target;
  }
  service.routes = { ...service.routes, [path]: target };
}

/** cloudflared uses regular expressions. One that only anchors the start is a prefix. */
function plainPath(path: string | undefined): string | undefined {
  const prefix = path?.replace(/^\^/, '').replace(/(\/?\.?\*|\/)?\$?$/, '');
  if (prefix === undefined || !/^\/?[\w\-~/]+$/.test(prefix)) return undefined;
  return prefix.startsWith('/') ? prefix : `/${prefix}`;
}
