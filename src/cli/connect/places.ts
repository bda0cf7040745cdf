import { proxied } from '../../agent/session/proxied.js';
import { kindOf, relayKey, type RelaySpec, type ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import { proxyFor } from '../proxy.js';
import { checkServices } from '../../library/unknown-service.js';
import type { Door } from './open.js';

/** A service to connect to. */
export interface Place {
  /** As typed. */
  readonly service: string;
  readonly hostname: string;
  /** The relays that publish it, in the order to try. At least one. */
  readonly doors: readonly Door[];
  /** The identity that must own it, if the file names it. */
  readonly owner?: string;
  /** The port of its target, if known. */
  readonly targetPort?: number;
  /** Its clients are browsers. */
  readonly isHttp?: true;
}

const HOSTNAME = /^(?:https:\/\/)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(\d{1,5}))?\/?$/i;

/** Whether the word is a public hostname or URL, and not the name of a service. */
export const isHostname = (word: string): boolean => /[.:]/.test(word);

/** The place of a public hostname, with a port unless it is 443. Throws `usage`. */
export function placeOf(word: string): Place {
  const [, name, digits] = HOSTNAME.exec(word) ?? [];
  const port = Number(digits ?? 443);
  if (name === undefined || port < 1 || port > 65_535)
    throw new PortalError('usage', `${JSON.stringify(word)} is not a service or a hostname`, {
      hint: 'Use a name from portal.yaml, or a hostname such as db.relay.example.com:8443.',
    });
  const hostname = name.toLowerCase();
  return {
    service: word,
    hostname,
    doors: [{ hostname, host: hostname, port, via: tunnelTo(hostname, port) }],
  };
}

/** The place of a service in the file. Throws `usage`. */
export function placeIn({ services }: Desired, service: string): Place {
  checkServices(
    [service],
    services.map((each) => each.service),
    'the file',
  );
  const spec = services.find((each) => each.service === service)!;
  if (kindOf(spec.mode) !== 'tls')
    throw new PortalError('connect_unsupported', `${service} runs mode ${spec.mode}, which is public`, {
      hint: 'Remove `mode` from the service, and set `access: { identities }`.',
    });
  const doors = spec.relays.map((relay) => doorOf(relay, spec));
  const [first] = doors;
  if (first === undefined)
    throw new PortalError('usage', `the file names no relay of ${service}`, {
      hint: 'Use its hostname, which `portal status` shows where its agent runs.',
    });
  const { target, identity } = spec;
  return {
    service,
    hostname: first.hostname,
    doors,
    ...(identity !== undefined && { owner: identity }),
    ...(target.kind === 'tcp' && target.port !== 0 && { targetPort: target.port }),
    ...(spec.mode === 'http' && { isHttp: true as const }),
  };
}

/** Visitors connect to the first relay of a chain. */
export function doorOf(relay: RelaySpec, { name, hostname: own }: ServiceSpec): Door {
  const entry = relay.kind === 'chain' ? relay.hops[0]! : relay;
  const url = new URL(entry.kind === 'embedded' ? `https://localhost:${entry.port}` : entry.url);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || 443);
  const hostname = (own ?? `${name}.${host}`).toLowerCase();
  if (port === 0)
    throw new PortalError(
      'not_running',
      `${relayKey(entry)} has no fixed port, and no agent is running here`,
    );
  return { hostname, host, port, via: entry.kind === 'embedded' ? undefined : tunnelTo(host, port) };
}

function tunnelTo(host: string, port: number): Door['via'] {
  const proxy = proxyFor(`https://${host}:${port}`);
  return proxy && proxied(proxy);
}
