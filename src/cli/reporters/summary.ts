import type { ServedAs } from '../../agent/served-as.js';
import type { PortalEvent } from '../../reconcile/events.js';
import { shellQuote } from '../../lib/shell-quote.js';
import type { Output } from '../output.js';
import { createStyle, printable } from '../text/style.js';
import { addressRows, hostAndPort, placeOf } from './describe.js';
import type { Expected } from './reporter.js';

type Ready = Extract<PortalEvent, { event: 'ready' }>;
type Lease = Extract<PortalEvent, { event: 'lease' }>;
type Served = Extract<PortalEvent, { event: 'served' }>;

/** Prints every address to stdout as `service address`, for people and for pipes. */
export function writeAddresses(stdout: Output, ready: Ready): void {
  const { bold } = createStyle(stdout.color);
  for (const { service, address } of addressRows(ready.services)) stdout.data(`${bold(service)} ${address}`);
}

/** Where additional lines are printed. */
export type Lines = Pick<Output, 'line' | 'color'>;

/**
 * Prints once how to reach services without a certificate of a public CA. Uses HTTP if a service speaks it, which for
 * some services is known only after they are ready.
 */
export class AccessHints {
  readonly #stderr: Lines;
  #caFile: string | undefined;
  /** A notice has announced the CA. */
  #isAnnounced = false;
  /** Services with a certificate of the local CA. */
  #local: ReadonlySet<string> = new Set();
  readonly #private = new Set<string>();
  /** URLs of private services whose hint is printed. */
  readonly #told = new Set<string>();
  #gates: ReadonlyMap<string, Expected['gate']> = new Map();
  /** The first URL of each service, from `ready` on until the hint is printed. */
  readonly #urls = new Map<string, string>();
  readonly #servedAs = new Map<string, ServedAs>();
  /** Services whose targets are down since before `ready`. */
  #unreachable = new Set<string>();
  /** The first URL of every service. */
  readonly #allUrls = new Map<string, string>();
  /** Services whose targets do not speak HTTP, until the hint about them is printed. */
  readonly #notHttp = new Set<string>();

  constructor(stderr: Lines) {
    this.#stderr = stderr;
  }

  begin(expected: readonly Expected[]): void {
    this.#local = new Set(expected.filter(({ isLocalCa }) => isLocalCa).map(({ service }) => service));
    for (const { service, isPrivate } of expected) if (isPrivate) this.#private.add(service);
    this.#gates = new Map(expected.map(({ service, gate }) => [service, gate]));
  }

  /** Call after an event was shown. `served` may come before the `ready` that it follows on screen. */
  note(event: PortalEvent): void {
    if (event.event === 'started') this.#caFile = event.ca;
    if (event.event === 'notice' && event.kind === 'ca_created') this.#isAnnounced = true;
    if (event.event === 'served') this.#noteServed(event);
    if (event.event === 'lease') this.#noteLease(event);
    if (event.event === 'ready') this.#ready(event);
    if (event.event === 'stopped') this.#urls.clear();
    if (event.event === 'target' && event.reachable) this.#unreachable.delete(event.service);
    if (event.event !== 'ready' && event.event !== 'served' && event.event !== 'target') return;
    this.#tellTls();
    this.#tell();
  }

  /** Call when no more events come. A background agent may find out later what its targets speak. */
  end(): void {
    const [open] = [...this.#urls].filter(
      ([service]) =>
        !this.#servedAs.has(service) && !this.#gates.get(service) && !this.#unreachable.has(service),
    );
    if (this.#caFile === undefined || open === undefined) return;
    this.#line(curl(shellQuote(this.#caFile), printable(open[1])));
    this.#urls.clear();
  }

  #noteServed({ service, servedAs }: Served): void {
    if (servedAs === 'stream' && !this.#private.has(service) && this.#servedAs.get(service) !== 'stream')
      this.#notHttp.add(service);
    this.#servedAs.set(service, servedAs);
  }

  /** The URL of a service that is not HTTP opens in no browser. */
  #tellTls(): void {
    for (const service of this.#notHttp) {
      const url = this.#allUrls.get(service);
      if (url === undefined) continue;
      this.#notHttp.delete(service);
      this.#line(
        `${service} does not speak HTTP: connect its client with TLS to ${printable(hostAndPort(url))}`,
      );
    }
  }

  #ready({ services, unreachable = [] }: Ready): void {
    for (const [service, { urls, servedAs }] of Object.entries(services)) {
      if (servedAs !== 'undecided') this.#servedAs.set(service, servedAs);
      if (urls[0] !== undefined) this.#allUrls.set(service, urls[0]);
      if (urls[0] !== undefined && this.#local.has(service)) this.#urls.set(service, urls[0]);
    }
    if (this.#caFile !== undefined && this.#urls.size > 0 && !this.#isAnnounced)
      this.#line(
        `certificates are issued by your local CA: ${this.#caFile}; trust it: portal trust --install`,
      );
    this.#unreachable = new Set(unreachable);
  }

  /** The command for others, who may have no portal.yaml. */
  #noteLease({ service, phase, url, privateOf: owner }: Lease): void {
    if (owner === undefined) this.#private.delete(service);
    else this.#private.add(service);
    if (owner === undefined || phase !== 'ready' || url === undefined || this.#told.has(url)) return;
    this.#told.add(url);
    this.#line(
      `${service} is private; others reach it with: portal connect ${printable(placeOf(url))} --identity ${owner}`,
    );
  }

  #tell(): void {
    if (this.#caFile === undefined || this.#urls.size === 0) return;
    // A command that gets an error page would be no example.
    const services = [...this.#urls.keys()].filter((service) => !this.#unreachable.has(service));
    if (services.length === 0) return;
    const inHttp = services.filter((service) => this.#servedAs.get(service) === 'http');
    // The command cannot show a secret, so another service is a better example.
    const open = inHttp.find((service) => !this.#gates.get(service));
    if (open === undefined && !services.every((service) => this.#servedAs.has(service))) return;
    const http = open ?? inHttp.find((service) => this.#gates.get(service)?.curl !== undefined);
    if (http === undefined && inHttp.length > 0) return this.#urls.clear();
    const url = printable(this.#urls.get(http ?? services[0]!)!);
    const ca = shellQuote(this.#caFile);
    const secret = this.#gates.get(http ?? '')?.curl;
    this.#line(http === undefined ? `try: ${tlsClient(ca, new URL(url))}` : curl(ca, url, secret));
    this.#urls.clear();
  }

  #line(text: string): void {
    this.#stderr.line(createStyle(this.#stderr.color).dim(text));
  }
}

const curl = (ca: string, url: string, secret?: string): string =>
  `try: curl --cacert ${ca} ${secret === undefined ? '' : `${secret} `}${url}`;

/** Connects as a visitor of a service that is not HTTP. Few resolvers know the names below localhost. */
function tlsClient(ca: string, { hostname, port }: URL): string {
  const at = hostname.endsWith('.localhost') ? 'localhost' : hostname;
  const checks = '-quiet -verify_quiet -verify_return_error';
  return `openssl s_client ${checks} -CAfile ${ca} -servername ${hostname} -connect ${at}:${port || 443}`;
}
