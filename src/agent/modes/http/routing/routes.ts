import { formatTarget, isThisMachine, type Target } from '../../../../net/target/target.js';
import type { RouteSpec, ServiceSpec } from '../../../spec.js';
import { pathOf, readLeniently } from './paths.js';
import type { Upstream } from '../targets/upstream.js';

/** One route, prepared for use by each request. */
export interface Route {
  /** As visitors see it, without a trailing slash: '' is the route `/`. */
  readonly prefix: string;
  /** The part that is removed from requests and added to responses: `prefix`, or '' if it is not stripped. */
  readonly stripped: string;
  readonly target: Target;
  readonly upstream: Upstream;
  /** The name in requests to the target. Default: the public name. */
  readonly alias: Alias | undefined;
  /** The target gets the visitor's address and the public URL. */
  readonly isForwarded: boolean;
  readonly requestEdits: HeaderEdits | undefined;
  readonly responseEdits: HeaderEdits | undefined;
  /** How long requests are held while the target is down. Default: they are not. */
  readonly holdMs: number | undefined;
}

/** Replaces the public name wherever a target may compare it: Host, Origin, Referer, X-Forwarded-Host and -Proto. */
export interface Alias {
  readonly authority: string;
  readonly scheme: 'http' | 'https';
}

/** Header fields to set or remove, by name. */
interface HeaderEdits {
  /** In lower case. All fields with these names are removed. */
  readonly names: ReadonlySet<string>;
  /** Name, value, name, value… to add. */
  readonly add: readonly string[];
}

export class RouteTable {
  readonly #byPrefix = new Map<string, Route>();
  /** Prefixes by host and port of their targets, for redirects to them. */
  readonly #prefixByPlace = new Map<string, string>();

  constructor(spec: ServiceSpec, upstreamOf: (target: Target) => Upstream) {
    for (const route of routesOf(spec)) {
      const prefix = route.prefix.replace(/\/+$/, '');
      this.#byPrefix.set(prefix, {
        prefix,
        stripped: route.stripPrefix ? prefix : '',
        target: route.target,
        upstream: upstreamOf(route.target),
        alias: aliasOf(route.host ?? spec.host, route.target),
        isForwarded: spec.forwarded !== false,
        requestEdits: editsOf(route.headers),
        responseEdits: editsOf(route.responseHeaders),
        holdMs: (route.hold ?? spec.hold)?.forMs,
      });
      for (const place of placesOf(route.target)) {
        if (!this.#prefixByPlace.has(place)) this.#prefixByPlace.set(place, route.stripPrefix ? prefix : '');
      }
    }
  }

  get routes(): Iterable<Route> {
    return this.#byPrefix.values();
  }

  /** The route of a request target in origin form. `unsafe`: its path has more than one interpretation. */
  find(target: string): Route | 'unsafe' | undefined {
    const path = pathOf(target);
    const route = this.#longest(path);
    const generous = readLeniently(path);
    if (generous === path) return route;
    return generous !== undefined && this.#longest(generous) === route ? route : 'unsafe';
  }

  /**
   * The prefix of a target given as `host:port` of a URL. Undefined for a foreign origin. The scheme only selects the default
   * port: a target that trusts X-Forwarded-Proto combines its own port with `https`.
   */
  prefixOf(scheme: string, authority: string, own: Route): string | undefined {
    const place = placeKey(scheme, authority);
    if (authority.toLowerCase() === own.alias?.authority.toLowerCase()) return own.stripped;
    if (placesOf(own.target).includes(place)) return own.stripped;
    return this.#prefixByPlace.get(place);
  }

  #longest(path: string): Route | undefined {
    for (let end = path.length; end > 0;) {
      const route = this.#byPrefix.get(path.slice(0, end));
      if (route) return route;
      end = path.lastIndexOf('/', end - 1);
    }
    return this.#byPrefix.get('');
  }
}

function routesOf({ routes, target }: ServiceSpec): readonly RouteSpec[] {
  if (routes.length > 0) return routes;
  return [{ prefix: '/', target, stripPrefix: false, headers: {}, responseHeaders: {} }];
}

function editsOf(headers: Readonly<Record<string, string | null>>): HeaderEdits | undefined {
  const entries = Object.entries(headers);
  if (entries.length === 0) return undefined;
  return {
    names: new Set(entries.map(([name]) => name.toLowerCase())),
    add: entries.flatMap(([name, value]) => (value === null ? [] : [name, value])),
  };
}

function aliasOf(host: string | undefined, target: Target): Alias | undefined {
  if (host === undefined || host === 'visitor') return undefined;
  return {
    authority: host === 'target' ? authorityOf(target) : host,
    scheme: target.kind === 'tcp' && target.tls ? 'https' : 'http',
  };
}

/** The target's name in a Host header. */
function authorityOf(target: Target): string {
  if (target.kind === 'unix') return 'localhost';
  const standard = target.port === (target.tls ? 443 : 80);
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return standard ? host : `${host}:${target.port}`;
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]', '[::]', '0.0.0.0'];

/** All names that a local service may use for its own host and port. A program on the loopback has several. */
function placesOf(target: Target): string[] {
  if (target.kind === 'unix') return ['localhost:80'];
  const host = (target.host.includes(':') ? `[${target.host}]` : target.host).toLowerCase();
  const hosts = LOOPBACK.includes(host) ? LOOPBACK : isThisMachine(host) ? [...LOOPBACK, host] : [host];
  return hosts.map((name) => `${name}:${target.port}`);
}

function placeKey(scheme: string, authority: string): string {
  const port = scheme === 'https' ? 443 : 80;
  return `${authority.toLowerCase()}${/:\d+$/.test(authority) ? '' : `:${port}`}`;
}

/** Whether a cookie's Domain is the target, by its own name or alias, or this machine. */
export function isTargetsDomain(domain: string, { target, alias }: Pick<Route, 'target' | 'alias'>): boolean {
  const name = domain.toLowerCase().replace(/^\./, '');
  if (LOOPBACK.includes(name) || name === '::1' || name.endsWith('.localhost')) return true;
  if (name === alias?.authority.replace(/:\d+$/, '').toLowerCase()) return true;
  return target.kind === 'tcp' && name === target.host.toLowerCase();
}

/** Its prefix as in the file. */
export const nameOf = ({ prefix }: Pick<Route, 'prefix'>): string => prefix || '/';

/** For logs. */
export function describeRoute({ prefix, target }: Route): string {
  return `${nameOf({ prefix })} → ${formatTarget(target)}`;
}
