import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** The proxies of an frp client, `frpc.toml` or `frpc.yaml` (https://github.com/fatedier/frp/tree/dev/conf). */
export function fromFrp(file: Fields, draft: Draft): void {
  for (const [index, value] of listOf(file['proxies']).entries()) {
    const proxy = fieldsOf(value);
    addProxy(textOf(proxy['name']) ?? `service-${index + 1}`, proxy, draft);
  }
  const server = textOf(file['serverAddr']);
  if (server !== undefined)
    draft.note(
      `Portal does not connect to frps at ${server}. Run \`portal relay\` there, and name it in \`relays\`.`,
    );
}

function addProxy(name: string, proxy: Fields, draft: Draft): void {
  const type = textOf(proxy['type']) ?? 'tcp';
  if (!['http', 'https', 'tcp', 'udp', 'tcpmux'].includes(type)) {
    draft.note(`${name}: the type ${type} has no counterpart and was not converted.`);
    return;
  }
  const host = textOf(proxy['localIP']) ?? '127.0.0.1';
  const target = draft.target(name, `${host}:${textOf(proxy['localPort']) ?? ''}`);
  if (target === undefined) return;
  const service: DraftService = { target };
  if (type === 'tcp' || type === 'udp') service.mode = type;
  // frp passes visitors' TLS through; Portal terminates it in front of the target.
  if (type === 'https')
    service.target = typeof target === 'number' ? `https://localhost:${target}` : `https://${target}`;
  const label = textOf(proxy['subdomain']);
  if (label !== undefined) service.name = label;
  const remote = Number(proxy['remotePort']);
  if (remote > 0) service.port = remote;
  const rewritten = textOf(proxy['hostHeaderRewrite']);
  if (rewritten !== undefined) service.host = rewritten;
  const added = draft.add(name, service);
  for (const domain of listOf(proxy['customDomains']).map(String))
    draft.note(
      `${added}: for ${domain}, set its DNS records and write \`hostname: ${domain}\` (docs/guides/certificates.md).`,
    );
  if (type === 'https')
    draft.note(
      `${added}: Portal checks the target's certificate against the system's CAs. For another CA, write \`targetTls\`.`,
    );
  if (proxy['httpUser'] !== undefined)
    draft.note(`${added}: Portal has no basic authentication. Use \`access: { pin: … }\`.`);
}
