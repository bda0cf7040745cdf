/* Generated from schema/portal.schema.json by scripts/generate.mjs: edit the schema. */

/**
 * What `portal agents` calls the machine that this runs on. Default: its own name. `false`: relays are told none. Over a chain none is told either way.
 */
export type Machine = MachineName | false;
/**
 * A name for the machine.
 */
export type MachineName = string;
/**
 * The address of the identity that owns the name. Whoever runs this file with another one is told so before anything is opened: for a team that shares one identity. `portal identity` prints yours.
 */
export type Address = string;
/**
 * The URL of its directory. Default: Let's Encrypt. To try things out there is its staging directory, whose certificates no browser trusts.
 */
export type HttpsUrl = string;
/**
 * Where the CA may write to about the account. It is given to the CA and to nobody else.
 */
export type Email = string;
/**
 * One relay: its URL, or its URL and the CA that signed its certificate.
 */
export type Relay = RelayUrl | RelayWithCa;
/**
 * The relay's https:// URL, with a port where it is not 443, and nothing after it.
 */
export type RelayUrl = string;
/**
 * Relays in the order a visitor passes them: the visitors' side first. Two at least, each once.
 *
 * @minItems 2
 */
export type Chain = Relay[];
/**
 * One service: a target alone, or a mapping where more is to be said.
 */
export type Service = Port | TargetText | ServiceOptions;
/**
 * A port number.
 */
export type Port = number;
/**
 * `host:port`, `unix:/path`, or `http(s)://host:port`.
 */
export type TargetText = string;
/**
 * Where visitors' bytes go on this side: a port of this machine, `host:port`, `unix:/path`, or `http://host:port` / `https://host:port`. A bare port and `localhost:port` find a service on either loopback address, 127.0.0.1 or ::1. An address such as `127.0.0.1:3000` is used alone.
 */
export type Target = Port | TargetText;
/**
 * In the modes auto and http: the name that the target finds in Host, Origin, Referer and X-Forwarded-Host. `visitor`: the public name. `target`: the target's own, such as localhost:3000, for servers that reject other names. Or any name, with a port if it has one. On a service it holds for all its routes.
 */
export type Host = string;
/**
 * The name asked from each relay: one DNS label. Default: the service's key. `${user}` in it gives everyone their own.
 */
export type DnsLabel = string;
/**
 * Where the service's certificate comes from: `local`, a CA made on this machine; `acme`, a public CA over ACME; or files of your own.
 */
export type Tls = TlsSource | TlsOptions;
/**
 * `local`: a CA made on this machine. `acme`: a public CA over ACME, the one that `acme:` names; its certificates are for names that lead to a relay on port 443.
 */
export type TlsSource = 'local' | 'acme';
/**
 * Where one path goes: a target alone, or a mapping where more is to be said.
 */
export type Route = Port | TargetText | RouteOptions;
/**
 * The value of a header; null removes the header.
 */
export type HeaderValue = HeaderText | NoHeader;
/**
 * The value to set.
 */
export type HeaderText = string;
/**
 * Removes the header.
 */
export type NoHeader = null;
/**
 * In the modes auto and http: keep requests for the inspector, on this machine only. As a mapping, it says what the inspector shows on demand only, and how long requests are kept.
 */
export type Inspect = boolean | InspectOptions;
/**
 * Requests are kept across runs too, encrypted, on this machine. `false`: in memory only.
 */
export type History = boolean | HistoryOptions;
/**
 * Requests go after this time; after 7 days in any case. The shortest time that a service of the file asks for holds for all of them.
 */
export type KeepFor = string;
/**
 * How Portal checks the target: an HTTP path, or a mapping with more settings. An unhealthy target shows in `portal status` and emits an event; visitors still reach it. In mode http Portal checks the target of the route `/`, or else of the first route, over HTTP/1.1.
 */
export type Health = HealthPath | HealthOptions;
/**
 * The path to GET; any status below 500 is healthy. Default: none; a connection is enough.
 */
export type HealthPath = string;
/**
 * A number with s, m, h or d; or a date and time with its zone.
 */
export type Duration = string;

/**
 * What a portal.yaml holds: the services to publish, and the relays to publish them through.
 */
export interface PortalConfig {
  /**
   * Version of this format. There is one so far.
   */
  version: 1;
  /**
   * The identity file that proves who holds a name, relative to this file. Default: one per person, in the config directory. It is made on first use; never commit it.
   */
  identity?: string;
  machine?: Machine;
  /**
   * Addresses of identities that may see this agent with `portal agents`, besides the one it runs with: its machine, services, phases and traffic, at each relay, for as long as they stand here. They can do nothing to it. It is told to relays, except over a chain. `portal identity` prints one's own.
   *
   * @maxItems 32
   */
  team?: Address[];
  acme?: Acme;
  relays?: Pool;
  /**
   * Named routes over several relays. A service takes one with `via`, so that no single relay sees both the visitor and you.
   */
  chains?: {
    [k: string]: Chain;
  };
  /**
   * The services to publish. The key names the service, and is the name asked from each relay unless `name` says otherwise.
   */
  services: {
    [k: string]: Service;
  };
}
/**
 * The public CA that `tls: acme` asks, over ACME. Using it means agreeing to its terms of service.
 */
export interface Acme {
  directory?: HttpsUrl;
  email?: Email;
  /**
   * The CA certificate in PEM form to trust for the directory's own HTTPS, where that is private; relative to this file.
   */
  ca?: string;
}
/**
 * The pool: the relays that services are published on. Default: the embedded relay, which runs inside `portal up` and serves https://NAME.localhost:8443 on this machine.
 */
export interface Pool {
  /**
   * Relays that are always connected.
   *
   * @minItems 1
   */
  urls?: Relay[];
  embedded?: Embedded;
  /**
   * A list of further relays, of which the best `maxActive` stay connected: an https:// URL, or a file relative to this one. It is JSON, `{"relays": [...]}`; each entry is a URL, a mapping `{ url, address, ca }` (the address of its key; `ca` only in a file), or a relay's signed descriptor.
   */
  registry?: string;
  /**
   * How many relays stay connected besides `urls`, the best first: of the registry's, and of those that connected relays tell of.
   */
  maxActive?: number;
}
/**
 * A relay whose certificate is signed by a private CA.
 */
export interface RelayWithCa {
  url: RelayUrl;
  /**
   * File with the CA's certificate in PEM form, relative to the file that names it. Default: the CAs that Node.js trusts.
   */
  ca?: string;
}
/**
 * The relay inside `portal up`, on this machine's loopback address only. It is what runs when no relay is named; name it to choose its port, or to run it beside other relays.
 */
export interface Embedded {
  /**
   * The port it listens on; 0 takes any free one.
   */
  port?: number;
}
/**
 * One service in its long form.
 */
export interface ServiceOptions {
  /**
   * How visitors are served. `auto`: as `http` if the target speaks HTTP, else as `stream`; Portal asks the target. `http`: requests are read, for forwarded headers, routes, gates and the inspector. `stream`: anything over TLS, passed through byte for byte. `tcp`, `udp`: a public port of the relay's own. With `routes` the default is `http`; with `proxyProtocol`, or an `alpn` besides HTTP, it is `stream`.
   */
  mode?: 'auto' | 'stream' | 'http' | 'tcp' | 'udp';
  target?: Target;
  host?: Host;
  name?: DnsLabel;
  /**
   * Protocols offered to the visitor in the TLS handshake, best first (ALPN, RFC 7301). In mode stream what is chosen reaches the target as it is: offer `h2` there only if the target speaks HTTP/2 in plain text. Default: `h2` and `http/1.1` where requests are read; in mode stream what the target speaks, which Portal finds out by opening HTTP/2 to it once.
   *
   * @minItems 1
   */
  alpn?: string[];
  /**
   * How visitors' bytes travel between relay and agent. `raw`: as they are, for they are the visitor's own TLS. `tls`: in a second TLS, against an observer in between. `ws`: in a WebSocket, for networks that let nothing else through. In mode udp: `raw` are encrypted packets over UDP, with the WebSocket where those do not get through; `ws` is the WebSocket alone.
   */
  carrier?: 'raw' | 'tls' | 'ws';
  tls?: Tls;
  /**
   * Text the relay keeps beside the lease, for people and programs that list them. Relays can read it: no secrets.
   */
  metadata?: {
    [k: string]: string;
  };
  /**
   * Relays for this service alone, in place of the pool.
   *
   * @minItems 1
   */
  relays?: Relay[];
  /**
   * A chain of `chains` for this service, in place of the pool.
   */
  via?: string;
  /**
   * The address of the identity that owns the name. Whoever runs this file with another one is told so before anything is opened: for a team that shares one identity. `portal identity` prints yours.
   */
  identity?: string;
  /**
   * A domain of your own under which the service answers, in place of its name at the relay. Its DNS leads to the relay, and has a TXT record that names your identity; docs/certificates.md shows both, and `portal doctor` prints what is missing.
   */
  hostname?: string;
  /**
   * The public port to ask for, in the modes tcp and udp. Default: any free port.
   */
  port?: number;
  /**
   * Which path goes to which target; requests are read (mode http) for it. The longest prefix wins.
   */
  routes?: {
    [k: string]: Route;
  };
  access?: Access;
  inspect?: Inspect;
  /**
   * Tell the target for whom a request is, in `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Prefix` and `Forwarded`. `false` is for apps that reject requests of a proxy that they do not know. In the modes auto and http.
   */
  forwarded?: boolean;
  /**
   * In the modes stream and tcp: send the visitor's address to the target ahead of the bytes (PROXY protocol). The target must expect it; where requests are read it finds the address in `X-Forwarded-For`.
   */
  proxyProtocol?: 'v2';
  targetTls?: TargetTls;
  health?: Health;
  /**
   * When the service closes by itself: a time after the start of `portal up` (`30m`, `8h`, `7d`), or a moment as in RFC 3339.
   */
  expires?: Duration;
  /**
   * Settings of mode udp.
   */
  udp?: {
    /**
     * Accept answers that come from another port of the target, as a TFTP server sends them. They must come from an IP address of the target, and each visitor keeps a socket of its own. Portal then does not notice when nothing listens at the target. Default: answers come from the target's port alone.
     */
    replyFromAnyPort?: boolean;
  };
  /**
   * After an edit of the target or of how it is served: how long connections may stay on the previous one, in milliseconds. HTTP moves at its first pause between requests, and a download ends whole; this limits WebSockets, other upgraded connections and other protocols. In mode stream, a visitor that never pauses gets `Connection: close` with an answer, and an HTTP/2 connection stays while one of its streams is open.
   */
  retireMs?: number;
}
/**
 * A `source`, or `cert` and `key` together.
 */
export interface TlsOptions {
  source?: TlsSource;
  /**
   * Certificate chain in PEM form, relative to this file.
   */
  cert?: string;
  /**
   * Private key in PEM form, relative to this file.
   */
  key?: string;
}
/**
 * One route in its long form.
 */
export interface RouteOptions {
  target: Target;
  /**
   * Take the route's path off before the request goes on, and put it back into the redirects and cookies of the answer.
   */
  stripPrefix?: boolean;
  host?: Host;
  /**
   * Request headers to set before the request goes on; null removes one. Values are masked wherever Portal prints them.
   */
  headers?: {
    [k: string]: HeaderValue;
  };
  /**
   * The same for the headers of the target's answers.
   */
  responseHeaders?: {
    [k: string]: HeaderValue;
  };
}
/**
 * Who gets in. A visitor must pass every gate that is set.
 */
export interface Access {
  /**
   * Visitors are asked for this PIN first. Take it from a variable, so that it is not committed; it is masked wherever Portal prints it.
   */
  pin?: string;
  /**
   * Only these addresses get in: IPv4 or IPv6, single or as a range in CIDR form.
   *
   * @minItems 1
   */
  allowIps?: string[];
}
/**
 * Requests are recorded, and shown with less than they hold.
 */
export interface InspectOptions {
  /**
   * Names of header fields whose values are shown on demand only, as those of credentials and cookies are.
   *
   * @maxItems 50
   */
  mask?: string[];
  history?: History;
}
/**
 * How requests are kept across runs.
 */
export interface HistoryOptions {
  maxAge?: KeepFor;
}
/**
 * How Portal verifies `https://` targets. Default: Portal verifies them against the CAs that Node.js trusts. On this machine (loopback addresses, names under `localhost`) it accepts every certificate.
 */
export interface TargetTls {
  /**
   * File with the CA's certificate in PEM form, relative to this file. With it a target on this machine is verified as well.
   */
  ca?: string;
  /**
   * The name to ask the target for (SNI) and to expect in its certificate. Default: the target's host.
   */
  serverName?: string;
  /**
   * Take any certificate. Whoever sits between Portal and the target can read along then. `false` verifies a target on this machine as well.
   */
  insecureSkipVerify?: boolean;
}
/**
 * A health check in its long form.
 */
export interface HealthOptions {
  path?: HealthPath;
  /**
   * Pause between two checks, in milliseconds.
   */
  intervalMs?: number;
  /**
   * How long one check may take, in milliseconds.
   */
  timeoutMs?: number;
}
