import { rangeProblem } from '../../../net/cidr.js';
import { parseTarget } from '../../../net/target/target.js';
import { dnsLabel } from '../../../config/variables/variables.js';
import { gatesFor, instructionFor, isGuard, peopleIn, type GateKey, type People } from './gates.js';

/** A converted service, with the keys of portal.yaml. */
export interface DraftService {
  mode?: 'stream' | 'http' | 'tcp' | 'udp';
  target?: string | number;
  name?: string;
  host?: string;
  port?: number;
  routes?: Record<string, Route>;
  access?: { allowIps: string[] };
  health?: string;
  inspect?: boolean;
  targetTls?: { ca?: string; serverName?: string; insecureSkipVerify?: boolean };
}

/** Only Portal removes the prefix of a route; the other programs send the whole path. */
export type Route = string | number | { target: string | number; stripPrefix?: false; host?: string };

/** @param host if the route needs another than its service */
export const routeTo = (place: string, target: string | number, host?: string): Route =>
  place === '/' && host === undefined
    ? target
    : { target, ...(place !== '/' && { stripPrefix: false }), ...(host !== undefined && { host }) };

/** The draft of a portal.yaml: services by name, and notes about settings that could not be converted. */
export class Draft {
  readonly services = new Map<string, DraftService>();
  /** Sentences for the user, each about one service or the whole file. */
  readonly notes: string[] = [];
  /** The gates that replace a service's dropped settings, for the user to fill in. */
  readonly gates = new Map<string, ReadonlySet<GateKey>>();
  /** Whom a service's dropped settings let in. */
  readonly people = new Map<string, People>();

  /** Adds a service under a free name similar to `name`, and returns that name. */
  add(name: string, service: DraftService): string {
    const label = dnsLabel(name);
    let free = label;
    for (let count = 2; this.services.has(free); count += 1) free = `${label.slice(0, 58)}-${count}`;
    this.services.set(free, service);
    return free;
  }

  note(sentence: string): void {
    this.notes.push(sentence);
  }

  /**
   * Names the keys of `fields` that the caller did not read, so that no setting disappears silently. Shows no value,
   * because values may be secrets.
   *
   * @param about a service, or the program whose own settings these are
   */
  noteRest(about: { service: string } | { program: string }, fields: Fields, read: readonly string[]): void {
    const keys = Object.keys(fields).filter((key) => !read.includes(key));
    const guards = keys.filter(isGuard);
    const others = keys.filter((key) => !isGuard(key));
    if ('program' in about) {
      if (keys.length > 0)
        this.note(`Settings of ${about.program} itself were not converted: ${listed(keys)}.`);
      return;
    }
    if (guards.length > 0) {
      const before = this.gates.get(about.service) ?? [];
      this.gates.set(about.service, new Set([...before, ...gatesFor(guards)]));
      this.#addPeople(about.service, Object.fromEntries(guards.map((key) => [key, fields[key]])));
      const who = this.services.get(about.service)?.access ? 'more people' : 'everyone';
      this.note(
        `${about.service}: ${listed(guards)} ${guards.length === 1 ? 'was' : 'were'} dropped: ${who} can visit until you set ${instructionFor(guards)}.`,
      );
    }
    for (const key of others.filter((each) => each in BY_HAND))
      this.note(`${about.service}: \`${key}\` was not converted: ${BY_HAND[key]}.`);
    const unknown = others.filter((key) => !(key in BY_HAND));
    if (unknown.length === 1)
      this.note(`${about.service}: ${listed(unknown)} has no counterpart and was not converted.`);
    if (unknown.length > 1)
      this.note(`${about.service}: ${listed(unknown)} have no counterpart and were not converted.`);
  }

  #addPeople(service: string, guards: Fields): void {
    const { emails, domains, users } = peopleIn(guards);
    const before = this.people.get(service);
    this.people.set(service, {
      emails: [...(before?.emails ?? []), ...emails],
      domains: [...(before?.domains ?? []), ...domains],
      users: [...(before?.users ?? []), ...users],
    });
  }

  /** Says how to publish a service at its domains, which need DNS records that only their owner can create. */
  noteHostnames(service: string, domains: readonly string[]): void {
    const owned = domains.filter((domain) => !this.#notePlain(service, domain));
    if (owned.length === 1)
      this.note(`${service}: for ${owned[0]}, write \`hostname: ${owned[0]}\`. ${DNS_RECORDS}`);
    if (owned.length > 1)
      this.note(
        `${service}: a service has one hostname. For ${owned.join(', ')}, write a service for each, with its own \`hostname\`. ${DNS_RECORDS}`,
      );
  }

  /** Says why `domain` cannot be a hostname; false if it can. */
  #notePlain(service: string, domain: string): boolean {
    if (domain.startsWith('*.'))
      this.note(
        `${service}: ${domain} is a wildcard. Write a service with its own \`hostname\` for each name below it.`,
      );
    else if (!domain.includes('.') || domain.endsWith('.internal'))
      this.note(`${service}: ${domain} is not a public name, so it was not converted.`);
    else return false;
    return true;
  }

  /** Ranges as Portal writes them. Undefined, with a note, if one is invalid: a gate must not change its meaning. */
  ranges(service: string, written: readonly string[]): string[] | undefined {
    const ranges = written.map((range) => {
      const problem = rangeProblem(range);
      return problem === undefined ? range : /; write (\S+)$/.exec(problem)?.[1];
    });
    if (ranges.every((range) => range !== undefined)) return ranges;
    this.note(`${service}: it was not converted, because its list of addresses has an invalid range.`);
    return undefined;
  }

  /** A target in the syntax of portal.yaml. Undefined, with a note, if Portal cannot connect to it. */
  target(service: string, written: unknown): string | number | undefined {
    const text = (textOf(written) ?? '').trim();
    const bare = /^(?:https?|tcp|tls|ssh|rdp|smb|udp):\/\/([^/]+)\/?$/i.exec(text);
    const plain = bare && !/^https:/i.test(text) ? withPort(bare[1]!, text) : text;
    try {
      parseTarget(plain);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.note(`${service}: the target ${JSON.stringify(text)} was not converted: ${error.message}.`);
      return undefined;
    }
    const local = /^(?:localhost:|127\.0\.0\.1:)?(\d+)$/.exec(plain);
    return local ? Number(local[1]) : plain;
  }
}

const DNS_RECORDS = '`portal doctor` prints the DNS records to create.';

/** Keys whose counterpart the user must write. */
const BY_HAND: Readonly<Record<string, string>> = {
  crt: 'write `tls: { cert, key }`',
  key: 'write `tls: { cert, key }`',
  crtPath: 'write `tls: { cert, key }`',
  keyPath: 'write `tls: { cert, key }`',
  agent_tls_termination: 'write `tls: { cert, key }`',
  proxy_proto: 'write `proxyProtocol: v2`',
  proxy_protocol: 'write `proxyProtocol: v2`',
  request_header: 'write `routes` with `headers`',
  requestHeaders: 'write `routes` with `headers`',
  response_header: 'write `routes` with `responseHeaders`',
  responseHeaders: 'write `routes` with `responseHeaders`',
};

const listed = (keys: readonly string[]): string => keys.map((key) => `\`${key}\``).join(', ');

/** Values of a file that may contain anything. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A non-empty string or a number, as text. Undefined for other values. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'number' || (typeof value === 'string' && value !== '') ? String(value) : undefined;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { ssh: 22, rdp: 3389, smb: 445, http: 80 };

function withPort(host: string, url: string): string {
  const port = DEFAULT_PORTS[url.slice(0, url.indexOf(':')).toLowerCase()];
  return /:\d+$/.test(host) || port === undefined ? host : `${host}:${port}`;
}
