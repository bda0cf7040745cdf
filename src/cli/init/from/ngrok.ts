import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** Names that ngrok assigns, below its own domains. */
const NGROK_DOMAIN = /\.ngrok(-free)?\.(app|dev|io|pizza|pro)$/;

/** Keys that `addTunnel` and `addEndpoint` read, or that need no counterpart. */
const READ = new Set(
  'addr auth basic_auth description domain host_header hostname inspect ip_restriction metadata name proto remote_addr schemes subdomain upstream url'.split(
    ' ',
  ),
);

/** Keys with a counterpart that the user has to write. */
const BY_HAND: Readonly<Record<string, string>> = {
  crt: 'write `tls: { cert, key }`',
  key: 'write `tls: { cert, key }`',
  proxy_protocol: 'write `proxyProtocol: v2`',
  request_header: 'write `routes` with `headers`',
  response_header: 'write `routes` with `responseHeaders`',
  traffic_policy: 'docs/guides/migrate.md lists counterparts',
};

/**
 * The configuration of an ngrok agent: `tunnels` of versions 2 and 3, `endpoints` of version 3
 * (https://ngrok.com/docs/agent/config/).
 */
export function fromNgrok(file: Fields, draft: Draft): void {
  for (const [name, tunnel] of Object.entries(fieldsOf(file['tunnels'])))
    addTunnel(name, fieldsOf(tunnel), draft);
  for (const [index, endpoint] of listOf(file['endpoints']).entries()) {
    const fields = fieldsOf(endpoint);
    addEndpoint(textOf(fields['name']) ?? `service-${index + 1}`, fields, draft);
  }
  const agent = fieldsOf(file['agent']);
  if (textOf(file['authtoken'] ?? agent['authtoken']))
    draft.note('The authtoken is not needed: Portal has no accounts.');
}

function addTunnel(name: string, tunnel: Fields, draft: Draft): void {
  const target = draft.target(name, tunnel['addr']);
  if (target === undefined) return;
  const service: DraftService = { target };
  const protocols = [tunnel['proto'] ?? 'http'].flat().map(String);
  if (protocols.includes('tcp')) service.mode = 'tcp';
  if (protocols.includes('tls')) service.mode = 'stream';
  if (tunnel['inspect'] === true) service.inspect = true;
  setHost(service, textOf(tunnel['host_header']));
  const label = textOf(tunnel['subdomain']);
  if (label !== undefined) service.name = label;
  const allowed = listOf(fieldsOf(tunnel['ip_restriction'])['allow_cidrs']).map(String);
  if (allowed.length > 0) service.access = { allowIps: allowed };
  const added = draft.add(name, service);
  noteDomain(added, service, textOf(tunnel['domain'] ?? tunnel['hostname']), draft);
  notePort(added, textOf(tunnel['remote_addr']), draft);
  if (tunnel['auth'] !== undefined || tunnel['basic_auth'] !== undefined)
    draft.note(`${added}: Portal has no basic authentication. Use \`access: { pin: … }\`.`);
  noteOthers(added, tunnel, draft);
}

function addEndpoint(name: string, endpoint: Fields, draft: Draft): void {
  const upstream = fieldsOf(endpoint['upstream']);
  const target = draft.target(name, upstream['url']);
  if (target === undefined) return;
  const url = textOf(endpoint['url']);
  const service: DraftService = { target };
  if (url?.startsWith('tcp://')) service.mode = 'tcp';
  if (url?.startsWith('tls://')) service.mode = 'stream';
  const added = draft.add(name, service);
  if (url !== undefined && service.mode !== 'tcp')
    noteDomain(added, service, url.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, ''), draft);
  if (service.mode === 'tcp') notePort(added, url!.slice('tcp://'.length), draft);
  const { proxy_protocol } = upstream;
  noteOthers(added, { ...endpoint, ...(proxy_protocol !== undefined && { proxy_protocol }) }, draft);
}

function notePort(added: string, address: string | undefined, draft: Draft): void {
  if (address) draft.note(`${added}: the relay chooses the public port, in place of ${address}.`);
}

/** Names each key that was not converted, so that none is lost silently. */
function noteOthers(added: string, fields: Fields, draft: Draft): void {
  for (const key of Object.keys(fields).filter((each) => !READ.has(each))) {
    const what = BY_HAND[key];
    draft.note(
      what === undefined
        ? `${added}: \`${key}\` has no counterpart and was not converted.`
        : `${added}: \`${key}\` was not converted: ${what}.`,
    );
  }
}

/** `rewrite` sends the target's own name; `preserve` is Portal's default. */
function setHost(service: DraftService, header: string | undefined): void {
  if (header === 'rewrite') service.host = 'target';
  else if (header !== undefined && header !== 'preserve') service.host = header;
}

/**
 * A name below ngrok's domains becomes the name on the relay. Another domain needs DNS records that only its owner
 * can create.
 */
function noteDomain(added: string, service: DraftService, domain: string | undefined, draft: Draft): void {
  if (domain === undefined) return;
  if (NGROK_DOMAIN.test(domain)) service.name ??= domain.split('.')[0]!;
  else
    draft.note(
      `${added}: for ${domain}, set its DNS records and write \`hostname: ${domain}\` (docs/guides/certificates.md).`,
    );
}
