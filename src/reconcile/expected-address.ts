import { kindOf, relayKey, type RelaySpec, type ServiceSpec } from '../agent/spec.js';
import { wantedPort } from '../agent/lease/wanted-port.js';

interface Expected {
  readonly relay: RelaySpec;
  readonly spec: Pick<ServiceSpec, 'mode' | 'name' | 'hostname' | 'port' | 'target'>;
}

/** Where visitors will reach a service, as far as the configuration says. Relays choose the ports that it does not name. */
export function expectedAddress(expected: Expected): string {
  const { relay, spec } = expected;
  const { entry, hostname } = entryOf(relay);
  const kind = kindOf(spec.mode);
  if (kind !== 'tls') return `${kind} ${withPort(hostname, wantedPort(relayKey(entry), spec))}`;
  const url = expectedUrl(expected) ?? `https://${spec.hostname ?? `${spec.name}.${hostname}`} (any port)`;
  // For a domain of the user, the URL does not show the relay.
  return spec.hostname === undefined ? url : `${url} (on ${relayKey(entry)})`;
}

/** The same as a URL: `https://`, `tcp://` or `udp://`. Undefined if the port is not known yet. */
export function expectedUrl({ relay, spec }: Expected): string | undefined {
  const { entry, hostname, port } = entryOf(relay);
  const kind = kindOf(spec.mode);
  if (kind === 'tls') {
    if (port === '0') return undefined;
    const own = spec.hostname ?? `${spec.name}.${hostname}`;
    return `https://${port === '' ? own : `${own}:${port}`}`;
  }
  const wanted = wantedPort(relayKey(entry), spec);
  return wanted === undefined ? undefined : `${kind}://${hostname}:${wanted}`;
}

/** The relay at which visitors arrive. */
function entryOf(relay: RelaySpec) {
  const entry = relay.kind === 'chain' ? relay.hops[0]! : relay;
  const { hostname, port } =
    entry.kind === 'embedded' ? { hostname: 'localhost', port: String(entry.port) } : new URL(entry.url);
  return { entry, hostname, port };
}

const withPort = (host: string, port: number | undefined): string =>
  port === undefined || port === 0 ? `${host} (any port)` : `${host}:${port}`;
