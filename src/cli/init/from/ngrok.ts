import { FOREIGN_NAMES } from '../../../config/words/foreign.js';
import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** Names that ngrok assigns, below its own domains. */
const NGROK_DOMAIN = /\.ngrok(-free)?\.(app|dev|io|pizza|pro)$/;

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
  const program = { program: FOREIGN_NAMES.ngrok };
  draft.noteRest(program, file, ['version', 'tunnels', 'endpoints', 'authtoken', 'agent']);
  draft.noteRest(program, agent, ['authtoken']);
  if (textOf(file['authtoken'] ?? agent['authtoken']))
    draft.note('The authtoken is not needed: Portal has no accounts.');
}

/** The keys that `addTunnel` reads. Every Portal URL has https, so `bind_tls` and `schemes` add nothing. */
const TUNNEL_KEYS = [
  'addr', 'proto', 'inspect', 'host_header', 'subdomain', 'ip_restriction', 'domain', 'hostname', 'remote_addr',
  'bind_tls', 'schemes',
]; // prettier-ignore

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
  const restriction = fieldsOf(tunnel['ip_restriction']);
  const allowed = draft.ranges(name, listOf(restriction['allow_cidrs']).map(String));
  if (allowed === undefined) return;
  if (allowed.length > 0) service.access = { allowIps: allowed };
  const added = draft.add(name, service);
  noteDomain(added, service, textOf(tunnel['domain'] ?? tunnel['hostname']), draft);
  notePort(added, textOf(tunnel['remote_addr']), draft);
  draft.noteRest({ service: added }, restriction, ['allow_cidrs']);
  draft.noteRest({ service: added }, tunnel, TUNNEL_KEYS);
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
  if (service.mode === 'tcp') notePort(added, url!.slice('tcp://'.length), draft);
  if (url !== undefined && service.mode !== 'tcp')
    noteDomain(added, service, url.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, ''), draft);
  draft.noteRest({ service: added }, upstream, ['url']);
  draft.noteRest({ service: added }, endpoint, ['name', 'url', 'upstream', 'description']);
}

function notePort(added: string, address: string | undefined, draft: Draft): void {
  if (address) draft.note(`${added}: the relay chooses the public port, in place of ${address}.`);
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
  if (!NGROK_DOMAIN.test(domain)) return draft.noteHostnames(added, [domain]);
  service.name ??= domain.split('.')[0]!;
  draft.note(`${added}: ${domain} became the name ${service.name} on your relay.`);
}
