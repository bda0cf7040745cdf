import { kindOf, relayKey, type RelaySpec, type ServiceSpec } from '../agent/spec.js';
import { wantedPort } from '../agent/wanted-port.js';

/** Where visitors will reach a service, as far as the configuration says. Relays choose the ports that it does not name. */
export function expectedAddress({
  relay,
  spec,
}: {
  readonly relay: RelaySpec;
  readonly spec: Pick<ServiceSpec, 'mode' | 'name' | 'hostname' | 'port' | 'target'>;
}): string {
  const entry = relay.kind === 'chain' ? relay.hops[0]! : relay;
  const { hostname, port } =
    entry.kind === 'embedded' ? { hostname: 'localhost', port: String(entry.port) } : new URL(entry.url);
  const kind = kindOf(spec.mode);
  if (kind !== 'tls') return `${kind} ${withPort(hostname, wantedPort(relayKey(entry), spec))}`;
  const own = spec.hostname ?? `${spec.name}.${hostname}`;
  const url = `https://${port === '' ? own : withPort(own, Number(port))}`;
  // For a domain of the user, the URL does not show the relay.
  return spec.hostname === undefined ? url : `${url} (on ${relayKey(entry)})`;
}

const withPort = (host: string, port: number | undefined): string =>
  port === undefined || port === 0 ? `${host} (any port)` : `${host}:${port}`;
