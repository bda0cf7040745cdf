import { FOREIGN_NAMES } from '../../../config/words/foreign.js';
import { fieldsOf, listOf, routeTo, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** The proxies of an frp client, `frpc.toml` or `frpc.yaml` (https://github.com/fatedier/frp/tree/dev/conf). */
export function fromFrp(file: Fields, draft: Draft): void {
  for (const [index, value] of listOf(file['proxies']).entries()) {
    const proxy = fieldsOf(value);
    addProxy(textOf(proxy['name']) ?? `service-${index + 1}`, proxy, draft);
  }
  draft.noteRest({ program: FOREIGN_NAMES.frp }, file, ['proxies', 'serverAddr', 'serverPort']);
  const server = textOf(file['serverAddr']);
  if (server !== undefined)
    draft.note(
      `Portal does not connect to frps at ${server}. Run \`portal relay\` there, and name it in \`relays\`.`,
    );
}

const PROXY_KEYS = [
  'name', 'type', 'localIP', 'localPort', 'remotePort', 'subdomain', 'customDomains', 'hostHeaderRewrite', 'locations',
  'plugin', 'healthCheck',
]; // prettier-ignore

/** The address of the target, or of a plugin that only forwards. */
function targetOf(name: string, proxy: Fields, draft: Draft): string | number | undefined {
  const plugin = fieldsOf(proxy['plugin']);
  const type = textOf(plugin['type']);
  if (type === undefined)
    return draft.target(
      name,
      `${textOf(proxy['localIP']) ?? '127.0.0.1'}:${textOf(proxy['localPort']) ?? ''}`,
    );
  const address = textOf(plugin['localAddr']) ?? '';
  const targets: Readonly<Record<string, string>> = {
    unix_domain_socket: `unix:${textOf(plugin['unixPath']) ?? ''}`,
    https2http: address,
    http2http: address,
    https2https: `https://${address}`,
    http2https: `https://${address}`,
  };
  const target = targets[type];
  if (target === undefined) {
    draft.note(`${name}: the plugin ${type} has no counterpart and was not converted.`);
    return undefined;
  }
  draft.noteRest({ service: name }, plugin, ['type', 'unixPath', 'localAddr']);
  return draft.target(name, target);
}

function addProxy(name: string, proxy: Fields, draft: Draft): void {
  const type = textOf(proxy['type']) ?? 'tcp';
  if (!['http', 'https', 'tcp', 'udp', 'tcpmux'].includes(type)) {
    draft.note(`${name}: the type ${type} has no counterpart and was not converted.`);
    return;
  }
  const target = targetOf(name, proxy, draft);
  if (target === undefined) return;
  const service: DraftService = { target };
  if (type === 'tcp' || type === 'udp') service.mode = type;
  // frp passes visitors' TLS through. Portal terminates it before the target.
  if (type === 'https' && proxy['plugin'] === undefined)
    service.target = typeof target === 'number' ? `https://localhost:${target}` : `https://${target}`;
  const label = textOf(proxy['subdomain']);
  if (label !== undefined) service.name = label;
  const remote = Number(proxy['remotePort']);
  if (remote > 0) service.port = remote;
  const rewritten = textOf(proxy['hostHeaderRewrite']);
  if (rewritten !== undefined) service.host = rewritten;
  const check = fieldsOf(proxy['healthCheck']);
  if (check['type'] === 'http') service.health = textOf(check['path']) ?? '/';
  const places = listOf(proxy['locations']).map(String);
  if (places.length > 0 && service.target !== undefined) {
    service.routes = Object.fromEntries(places.map((place) => [place, routeTo(place, target)]));
    delete service.target;
  }
  const added = draft.add(name, service);
  draft.noteHostnames(added, listOf(proxy['customDomains']).map(String));
  draft.noteRest({ service: added }, proxy, PROXY_KEYS);
  if (String(service.target).startsWith('https:'))
    draft.note(
      `${added}: Portal checks the target's certificate against the system's CAs. For another CA, write \`targetTls\`.`,
    );
}
