/* Generated from schema/portal.values.schema.json by scripts/generate.mjs: edit the schema. */

/**
 * A file with variables, or a list of files, relative to this file. They have the format of a `.env`. `${NAME}` uses the variables, and commands get them. Later files override earlier ones and the `.env`. The environment overrides all of them.
 */
export type EnvFile = EnvFilePath | EnvFileOptions | EnvFileEntry[];
/**
 * Path of a file with variables.
 */
export type EnvFilePath = string;
/**
 * A file with variables, which may be missing if it is not required.
 */
export type EnvFileEntry = EnvFilePath | EnvFileOptions;
/**
 * A file with more services, or a list of files, relative to this file. `*` and `?` in a path match any characters. Each file has `services`, and may have `version: 1` and keys that begin with `x-`. Its relative paths start from its own folder.
 */
export type Include = IncludePath | IncludePath[];
/**
 * Path of a file with services.
 */
export type IncludePath = string;
/**
 * Name of this machine in `portal agents`. Default: its hostname. With `false`, Portal sends no name to relays. Over a chain, Portal never sends one.
 */
export type Machine = MachineName | false;
/**
 * A name for the machine.
 */
export type MachineName = string;
/**
 * Address of the identity that owns the name, for a team that shares one identity. `portal up` rejects the file when it runs with another identity. `portal identity` prints your address.
 */
export type Address = string;
/**
 * URL of the ACME directory. Default: Let's Encrypt. For tests, use its staging directory; browsers do not trust those certificates.
 */
export type HttpsUrl = string;
/**
 * Contact address for the account. Portal sends it only to the CA.
 */
export type Email = string;
/**
 * One relay: its URL, or a mapping with its URL and the CA of its certificate.
 */
export type Relay = RelayUrl | RelayWithCa;
/**
 * URL of the relay: https://, the host, and the port unless it is 443. No path.
 */
export type RelayUrl = string;
/**
 * Relays in the order that visitors pass through them, the visitors' side first. Two or three, each once.
 *
 * @minItems 2
 */
export type Chain = Relay[];
/**
 * One service: its target, or a mapping with more settings.
 */
export type Service = Port | TargetText | ServiceOptions;
/**
 * A port number.
 */
export type Port = number;
/**
 * `host:port`, `unix:/path`, `http(s)://host:port`, or the path of a folder, which begins with `./`, `../` or `/`.
 */
export type TargetText = string;
/**
 * The local service: a port of this machine, `host:port`, `unix:/path`, `http(s)://host:port`, or a folder such as `./public`, whose files Portal serves. For a bare port and for `localhost:port`, Portal tries both loopback addresses, 127.0.0.1 and ::1.
 */
export type Target = Port | TargetText;
/**
 * A program that `portal up` starts, restarts when it exits, and stops with the agent. The shell runs this text, so write `$PORT`, without braces or with them. Portal sets `PORT`, `PORTAL_URL`, and `PORTAL_URL_NAME` for each service. Without `target`, Portal chooses a free port, and the program must listen on `$PORT`. Portal runs a command only after you allowed it, and asks again when it changes.
 */
export type Command = string;
/**
 * The folder in which the command runs, relative to this file. Default: the folder of this file.
 */
export type Cwd = string;
/**
 * Host that the target receives in Host, Origin, Referer and X-Forwarded-Host, in the modes auto and http. `visitor`: the public name. `target`: the target's own, such as localhost:3000, for servers that reject other names. Or any name, with a port if needed. On a service, it applies to all routes. Default: `visitor`.
 */
export type Host = string;
/**
 * Hold POST requests while the target is down, each for at most this time: a number with s, m, h or d, at most 7 days. Portal answers them with 202, keeps them encrypted on this machine, and delivers them in order when the target is back. In the modes auto and http. On a service, it applies to all routes. Default: the sender gets a 503.
 */
export type Hold = string;
/**
 * Name to request from each relay: one DNS label. Default: the service's key. `${user}` gives each user a different name.
 */
export type DnsLabel = string;
/**
 * Source of the service's certificate: `auto`, `local` (a CA that Portal creates on this machine), `acme` (a public CA), or your own files.
 */
export type Tls = TlsSource | TlsOptions;
/**
 * `auto`: `local` for names that the local CA covers, such as `*.localhost`, and `acme` for public names at a relay on port 443. `portal plan` says where it chose `acme`. `local`: a CA that Portal creates on this machine. `acme`: the public CA in `acme:`. It issues certificates only for names that point to a relay on port 443.
 */
export type TlsSource = 'auto' | 'local' | 'acme';
/**
 * Target of one path: the target, or a mapping with more settings.
 */
export type Route = Port | TargetText | RouteOptions;
/**
 * Value of a header. null removes the header.
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
 * The address of an identity, or `team`.
 */
export type Visitor = string;
/**
 * The average: a number of requests per second (`s`), minute (`m`) or hour (`h`).
 */
export type Rate = string;
/**
 * For other senders: the header field with the HMAC of the body, in hex or base64, with or without `sha256=` before it.
 */
export type HeaderName = string;
/**
 * Record requests for the inspector, on this machine only, in the modes auto and http. A mapping sets which headers are masked, and how long Portal keeps requests.
 */
export type Inspect = boolean | InspectOptions;
/**
 * Whether Portal keeps requests across runs, encrypted, on this machine. `false` keeps them in memory only.
 */
export type History = boolean | HistoryOptions;
/**
 * Portal deletes requests after this time, at most 7 days. The shortest time in the file applies to all services.
 */
export type KeepFor = string;
/**
 * How Portal checks the target: an HTTP path, or a mapping with more settings. An unhealthy target shows in `portal status` and emits an event; visitors still reach it. In mode http Portal checks the target of the route `/`, or else of the first route, over HTTP/1.1.
 */
export type Health = HealthPath | HealthOptions;
/**
 * Path to GET. Any status below 500 is healthy. Default: none; Portal only opens a connection.
 */
export type HealthPath = string;
/**
 * A number with s, m, h or d, or a date and time with a time zone.
 */
export type Duration = string;

/**
 * The configuration in portal.yaml: services to publish, and relays to publish them through.
 */
export interface PortalConfig {
  /**
   * Version of this format. Always 1.
   */
  version: 1;
  /**
   * File with the identity that owns your names, relative to this file. Portal creates it on first use. Never commit it. Default: identity.json in Portal's config directory, one per user.
   */
  identity?: string;
  envFile?: EnvFile;
  include?: Include;
  machine?: Machine;
  /**
   * Addresses of other identities that may see this agent in `portal agents`: its machine, services, states and traffic. They cannot change anything. `access: { identities: [team] }` of a service admits them as visitors. Portal sends the list to relays, except over a chain. `portal identity` prints your address.
   *
   * @maxItems 32
   */
  team?: Address[];
  acme?: Acme;
  relays?: Pool;
  /**
   * Named chains of relays. A service uses one with `via`, so that no single relay sees both you and your visitors.
   */
  chains?: {
    [k: string]: Chain;
  };
  /**
   * The services to publish. The key is the service's name, and the name it requests from each relay unless `name` is set.
   */
  services: {
    [k: string]: Service;
  };
}
/**
 * A file with variables that may be missing.
 */
export interface EnvFileOptions {
  /**
   * Path of the file, relative to this file. It may use variables of the environment and of the `.env`.
   */
  path: string;
  /**
   * Whether it is an error if the file does not exist.
   */
  required?: boolean;
}
/**
 * The public CA that issues certificates for public names, over ACME. With its certificates, you agree to the terms of service of this CA: Let's Encrypt, unless `directory` is set.
 */
export interface Acme {
  directory?: HttpsUrl;
  email?: Email;
  /**
   * File with a CA certificate in PEM format, relative to this file. Portal trusts it for the directory URL, for example of a private CA.
   */
  ca?: string;
}
/**
 * The pool: relays that publish the services. Default: the embedded relay inside `portal up`, which serves https://NAME.localhost:8443 on this machine.
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
   * A list of more relays: an https:// URL, or a file relative to this one. Portal connects to the best `maxActive` of them. The list is JSON, `{"relays": [...]}`. Each entry is a URL, a mapping `{ url, address, ca }` (`address` is that of the relay's key, `ca` only in a file), or a relay's signed descriptor.
   */
  registry?: string;
  /**
   * How many relays to connect to besides `urls`, the best first. Portal chooses from the registry and from relays that connected relays announce.
   */
  maxActive?: number;
}
/**
 * A relay whose certificate a private CA issued.
 */
export interface RelayWithCa {
  url: RelayUrl;
  /**
   * File with the CA certificate in PEM format; the path is relative to this file. Default: the CAs that Node.js trusts.
   */
  ca?: string;
}
/**
 * The relay inside `portal up`. It listens on loopback addresses only. It starts when the file names no other relay. Set it to choose its port, or to run it in addition to other relays.
 */
export interface Embedded {
  /**
   * Port to listen on. 0 uses any free port.
   */
  port?: number;
}
/**
 * One service in its long form.
 */
export interface ServiceOptions {
  /**
   * How Portal serves visitors. `auto`: `http` if the target speaks HTTP, else `stream`; Portal asks the target. `http`: Portal reads requests, for forwarded headers, routes, gates and the inspector. `stream`: Portal forwards any protocol over TLS byte for byte. `tcp`, `udp`: a public port of the relay. The default is `http` with `routes`, and `stream` with `proxyProtocol` or an `alpn` other than HTTP.
   */
  mode?: 'auto' | 'stream' | 'http' | 'tcp' | 'udp';
  target?: Target;
  command?: Command;
  cwd?: Cwd;
  env?: Env;
  /**
   * The service runs only with one of these profiles: `portal up --profile debug`, or `PORTAL_PROFILES=debug`. It also runs if it is named, as in `portal up mail`, or if a running service depends on it. Default: it always runs.
   *
   * @minItems 1
   */
  profiles?: string[];
  /**
   * Services whose targets must respond before Portal starts the commands of this service.
   *
   * @minItems 1
   */
  dependsOn?: string[];
  host?: Host;
  hold?: Hold;
  name?: DnsLabel;
  /**
   * Protocols to offer visitors in the TLS handshake, best first (ALPN, RFC 7301). In mode stream the target must speak each of them: offer `h2` only if it speaks HTTP/2 in plain text. Default: `h2` and `http/1.1` in the modes auto and http; in mode stream, what the target speaks. Portal tries HTTP/2 with the target to find out.
   *
   * @minItems 1
   */
  alpn?: string[];
  /**
   * How bytes travel between relay and agent. `raw`: unchanged, because they are already the visitor's TLS. `tls`: inside a second TLS session, which hides tickets from the network. `ws`: in a WebSocket, for networks that block everything else. In mode udp, `raw` means encrypted packets over UDP, with a fallback to a WebSocket; `ws` means the WebSocket only.
   */
  carrier?: 'raw' | 'tls' | 'ws';
  tls?: Tls;
  /**
   * Text that the relay shows with the service in `portal agents`. Relays can read it, so it must hold no secrets.
   */
  metadata?: {
    [k: string]: string;
  };
  /**
   * Relays for this service only, instead of the pool.
   *
   * @minItems 1
   */
  relays?: Relay[];
  /**
   * The chain in `chains` for this service, instead of the pool.
   */
  via?: string;
  /**
   * Address of the identity that owns the name, for a team that shares one identity. `portal up` rejects the file when it runs with another identity. `portal identity` prints your address.
   */
  identity?: string;
  /**
   * Your own domain for this service, instead of a name at the relay. It needs DNS records that point to the relay, and a TXT record with your identity's address. docs/guides/certificates.md shows both. `portal doctor` prints the missing ones.
   */
  hostname?: string;
  /**
   * Public port to request from the relay, in modes tcp and udp. Default: any free port.
   */
  port?: number;
  /**
   * The target for each path prefix, in mode http. The longest prefix wins.
   */
  routes?: {
    [k: string]: Route;
  };
  access?: Access;
  inspect?: Inspect;
  /**
   * Whether Portal adds `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Prefix` and `Forwarded` to requests, in the modes auto and http. Set `false` for apps that reject requests from an unknown proxy.
   */
  forwarded?: boolean;
  /**
   * Send the visitor's address to the target in a PROXY protocol header, in the modes stream and tcp. The target must expect it. In mode http, the target reads `X-Forwarded-For` instead.
   */
  proxyProtocol?: 'v2';
  targetTls?: TargetTls;
  health?: Health;
  /**
   * Lets several agents of your identity serve this name at once, one on each machine, if each of them sets it. `spread`: a new visitor goes to the agent with the fewest visitors; if several have the same number, they take turns. `failover`: to the agent that opened the service first, and to the next one while that agent cannot serve. An agent that stops, is disconnected, or whose target does not respond gets no new visitors. If the agents differ, the value of the agent that opened last counts. Default: one agent serves the name.
   */
  replicas?: 'spread' | 'failover';
  /**
   * When Portal closes the service: a time after `portal up` started (`30m`, `8h`, `7d`), or a date and time as in RFC 3339. Default: never.
   */
  expires?: Duration;
  /**
   * Settings of mode udp.
   */
  udp?: {
    /**
     * Accept replies from other ports of the target, as TFTP servers send them. The IP address must be the target's. Each visitor then has its own socket, and Portal cannot notice that nothing listens on the target port.
     */
    replyFromAnyPort?: boolean;
  };
  /**
   * How long connections may stay on the previous target after an edit, in milliseconds. HTTP connections move at their first pause between requests, and a download finishes. This limits WebSockets, other upgraded connections and other protocols. In mode stream, a visitor that never pauses gets `Connection: close` with a response, and an HTTP/2 connection stays while one of its streams is open.
   */
  retireMs?: number;
}
/**
 * More environment variables for the command. It also gets those of `portal up`. Portal masks the values wherever it prints them.
 */
export interface Env {
  [k: string]: string;
}
/**
 * A `source`, or `cert` and `key` together.
 */
export interface TlsOptions {
  source?: TlsSource;
  /**
   * File with the certificate chain in PEM format; the path is relative to this file.
   */
  cert?: string;
  /**
   * File with the private key in PEM format; the path is relative to this file.
   */
  key?: string;
}
/**
 * One route in its long form.
 */
export interface RouteOptions {
  target?: Target;
  command?: Command;
  cwd?: Cwd;
  env?: Env;
  /**
   * Remove the route's path from requests, and add it to redirects and cookies in responses.
   */
  stripPrefix?: boolean;
  host?: Host;
  hold?: Hold;
  /**
   * Request headers to set. null removes a header. Portal masks the values wherever it prints them.
   */
  headers?: {
    [k: string]: HeaderValue;
  };
  /**
   * Response headers to set. null removes a header.
   */
  responseHeaders?: {
    [k: string]: HeaderValue;
  };
}
/**
 * Gates: who may visit. A visitor must pass every gate that is set.
 */
export interface Access {
  /**
   * PIN that visitors must enter first. Take it from a variable, so that you do not commit it. Portal masks it wherever it prints it.
   */
  pin?: string;
  /**
   * Addresses that may visit: IPv4 or IPv6, single or a CIDR range.
   *
   * @minItems 1
   */
  allowIps?: string[];
  /**
   * Addresses of the identities that may connect, and `team` for everyone in the file's `team`, in the modes auto, stream and http. They use `portal connect`; others get a 403. Your own identity may always connect, so `[]` admits only your own machines. `portal identity` prints an address.
   *
   * @maxItems 1000
   */
  identities?: Visitor[];
  basic?: Basic;
  oidc?: Oidc;
  rateLimit?: RateLimit;
  webhook?: Webhook;
  /**
   * Whether visitors with a link of `portal share` pass `pin`, `basic` and `oidc` without a secret and without an account. The target gets no `X-Portal-User` for them. `false`: links open nothing. Default: links pass `pin` only.
   */
  sharing?: boolean;
}
/**
 * Users who may visit, in the modes auto, stream and http: by name, the bcrypt or argon2id hash of the password. `portal hash` prints one. Browsers ask for both (HTTP Basic). The target gets the name in `X-Portal-User`.
 */
export interface Basic {
  [k: string]: string;
}
/**
 * Visitors sign in with an OpenID Connect provider, in the modes auto, stream and http. The target gets the account in `X-Portal-User`, and its verified e-mail address in `X-Portal-Email`. Register `https://HOST/__portal/oidc/callback` as the redirect URI at your provider.
 */
export interface Oidc {
  /**
   * The provider's URL, without `/.well-known/openid-configuration`.
   */
  issuer: string;
  /**
   * The identifier of your application at the provider.
   */
  clientId: string;
  /**
   * The secret of your application. Take it from a variable, so that you do not commit it. Portal masks it wherever it prints it. Default: none, for an application that the provider registered as public.
   */
  clientSecret?: string;
  allow: OidcAllow;
}
/**
 * Who may visit. An account needs one of these.
 */
export interface OidcAllow {
  /**
   * E-mail addresses. They count only if the provider has verified them.
   *
   * @minItems 1
   */
  emails?: string[];
  /**
   * Domains of e-mail addresses, without subdomains.
   *
   * @minItems 1
   */
  domains?: string[];
  /**
   * Groups in the claim `groups` of the ID token or of UserInfo.
   *
   * @minItems 1
   */
  groups?: string[];
}
/**
 * How many requests each visitor may send, in the modes auto, stream and http. Further requests get 429 with `Retry-After`. A visitor is an IPv4 address, or the /64 of an IPv6 address.
 */
export interface RateLimit {
  perVisitor: Rate;
  /**
   * As many requests at once. Default: the number in `perVisitor`.
   */
  burst?: number;
}
/**
 * Who signs the requests, in the modes auto, stream and http. Portal verifies the signature of each request before the target gets it, and rejects others with 403. Write `provider`, or `header` and `algorithm`.
 */
export interface Webhook {
  /**
   * A sender that Portal knows. Signatures of Slack and Stripe expire after 5 minutes.
   */
  provider?: 'github' | 'slack' | 'stripe';
  header?: HeaderName;
  /**
   * The hash function of the HMAC in `header`.
   */
  algorithm?: 'sha1' | 'sha256' | 'sha512';
  /**
   * The secret that the sender signs with. Take it from a variable, so that you do not commit it. Portal masks it wherever it prints it.
   */
  secret: string;
}
/**
 * Inspector settings.
 */
export interface InspectOptions {
  /**
   * More headers to mask, besides credentials and cookies. The inspector shows their values on demand.
   *
   * @maxItems 50
   */
  mask?: string[];
  history?: History;
}
/**
 * History settings.
 */
export interface HistoryOptions {
  maxAge?: KeepFor;
}
/**
 * How Portal verifies `https://` targets. Default: against the CAs that Node.js trusts. On this machine (loopback addresses and names under `localhost`) Portal accepts any certificate.
 */
export interface TargetTls {
  /**
   * File with the CA certificate in PEM format; the path is relative to this file. With it, Portal verifies targets on this machine too.
   */
  ca?: string;
  /**
   * Name to send to the target (SNI) and to expect in its certificate. Default: the target's host.
   */
  serverName?: string;
  /**
   * Accept any certificate. Someone between Portal and the target can then read the traffic. `false` also verifies targets on this machine.
   */
  insecureSkipVerify?: boolean;
}
/**
 * A health check in its long form.
 */
export interface HealthOptions {
  path?: HealthPath;
  /**
   * Time between two checks, in milliseconds.
   */
  intervalMs?: number;
  /**
   * Timeout of one check, in milliseconds.
   */
  timeoutMs?: number;
}
