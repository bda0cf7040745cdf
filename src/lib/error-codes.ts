/**
 * Every error code of Portal. `docs/reference/errors.md` is generated from this table, and a
 * test checks that each code is documented and that Portal throws no other code.
 */

export interface ErrorInfo {
  /** What went wrong, as a heading. */
  readonly title: string;
  /** What to do about it. */
  readonly remedy: string;
  /** Process exit code: 2 for a mistake in the input, 1 for a failure at run time. */
  readonly exit: 1 | 2;
  /** True if a relay sends the code on the control channel (docs/reference/protocol.md). */
  readonly wire?: true;
}

export const ERRORS = {
  // --- mistakes in the input: exit 2
  usage: {
    title: 'The command line is invalid',
    remedy: 'Read the help of the command: `portal COMMAND --help`.',
    exit: 2,
  },
  config_not_found: {
    title: 'No portal.yaml was found',
    remedy: 'Run `portal init` to create one, or pass its path: -f FILE.',
    exit: 2,
  },
  config_unreadable: {
    title: 'Portal cannot read the configuration file',
    remedy: 'Check the path and its permissions.',
    exit: 2,
  },
  config_untrusted: {
    title: 'A configuration in a parent folder belongs to another user',
    remedy: 'Read the file that the message names. If you trust it, pass it with -f FILE.',
    exit: 2,
  },
  config_not_allowed: {
    title: 'The configuration asks for more than you allowed',
    remedy:
      'Check what it asks for, then run `portal allow`. In CI and in containers set PORTAL_ALLOW=1, or run `portal up --yes`.',
    exit: 2,
  },
  config_invalid: {
    title: 'The configuration has errors',
    remedy: 'Fix each error at the line that the output shows. `portal validate` shows the errors again.',
    exit: 2,
  },
  restart_required: {
    title: 'A running agent cannot apply the change',
    remedy: 'Stop it with `portal down` and start it again with `portal up`.',
    exit: 2,
  },
  identity_unsafe: {
    title: 'Other users can read the identity file',
    remedy:
      'Run the chmod command that the hint shows. If someone may have read the file, create a new identity.',
    exit: 2,
  },
  identity_unreadable: {
    title: 'You have no permission to read the identity file',
    remedy:
      "Set HOME or PORTAL_HOME to this user's own folder, or give this user permission to read the file.",
    exit: 2,
  },
  identity_invalid: {
    title: 'The identity file is not a Portal identity',
    remedy: 'Restore it from a backup. Or move it elsewhere, and Portal creates a new identity.',
    exit: 2,
  },
  identity_mismatch: {
    title: 'The service belongs to another identity',
    remedy:
      'Use the identity file that the message names. Or give the service another `name` and remove `identity`.',
    exit: 2,
  },
  lock_invalid: {
    title: 'portal.lock is invalid',
    remedy: 'Restore it from version control. After a merge, keep the relays of both sides, each once.',
    exit: 2,
  },
  proxy_invalid: {
    title: 'An environment variable for a proxy is invalid',
    remedy: 'Set it to `http://HOST:PORT` or `socks5h://HOST:PORT`, or unset it.',
    exit: 2,
  },
  service_manager_missing: {
    title: 'No service manager is running for this user',
    remedy:
      'In a container, use `portal up` as its command. With systemd, log in as the user over ssh or with `machinectl shell USER@` (`su` is not enough), or run `loginctl enable-linger USER` first. `portal service install --print` shows the unit.',
    exit: 1,
  },
  service_manager_failed: {
    title: 'The service manager failed',
    remedy: 'The message gives its reason. `portal service status` shows what is installed.',
    exit: 1,
  },
  already_running: {
    title: 'An agent is already running for this file',
    remedy: 'See `portal status`, or stop it with `portal down`.',
    exit: 1,
  },
  not_running: {
    title: 'No agent is running for this file',
    remedy: 'Start one with `portal up`.',
    exit: 1,
  },
  address_in_use: {
    title: 'The address to listen on is in use',
    remedy: 'Stop the program that uses it, or choose another port (0 for any free port).',
    exit: 1,
  },
  listen_failed: {
    title: 'Portal cannot listen on the address',
    remedy:
      "The message gives the operating system's reason. EACCES below port 1024: give the program the capability CAP_NET_BIND_SERVICE, pass it a socket from systemd, or map the port.",
    exit: 1,
  },
  state_unwritable: {
    title: 'Portal cannot write a file',
    remedy: 'Check the permissions and free space of the folder in the message, or set PORTAL_HOME.',
    exit: 1,
  },
  sqlite_missing: {
    title: 'SQLite is not available to store names',
    remedy:
      'Use Node 22.13 or later, which has SQLite. For an older Node, install the package @photostructure/sqlite next to Portal: the error shows the command for your installation.',
    exit: 1,
  },
  cluster_unavailable: {
    title: 'The database that the nodes of a relay share is unavailable',
    remedy:
      'Check the URL in `--cluster` or `PORTAL_CLUSTER`, and that the database accepts connections from this machine.',
    exit: 1,
  },
  cluster_mismatch: {
    title: 'The database belongs to another relay, or to another version of Portal',
    remedy: 'Give all nodes of a relay the same identity, the same --domain and the same version of Portal.',
    exit: 2,
  },
  certificate_unavailable: {
    title: 'No certificate is available for this hostname',
    remedy: 'Use one of the certificate sources that the message lists for the hostname.',
    exit: 1,
  },
  acme_unreachable: {
    title: 'The certificate authority is unreachable',
    remedy:
      'Portal retries. A certificate that it already has stays in use. Check your network, `acme: { directory }`, and `acme: { ca }` if the CA is private.',
    exit: 1,
  },
  acme_rejected: {
    title: 'The certificate authority rejected the order',
    remedy:
      'Fix the reason in the message. Portal retries with increasing delays, and `portal status` shows when. `portal doctor` checks what the CA needs.',
    exit: 1,
  },
  acme_rate_limited: {
    title: 'The order exceeds a rate limit of the certificate authority',
    remedy:
      "Wait: Portal retries at the time in the message, even after a restart. For tests, use the CA's staging directory.",
    exit: 1,
  },
  all_failed: {
    title: 'No service started',
    remedy: 'The lines above give the reason for each service.',
    exit: 1,
  },
  request_unknown: {
    title: 'There is no recorded request with this id',
    remedy: 'List the recorded requests with `portal requests`. Portal deletes the oldest ones.',
    exit: 1,
  },
  request_not_replayable: {
    title: 'Portal cannot replay the request',
    remedy: 'The message says why. The inspector can send some of these requests with a new body.',
    exit: 1,
  },
  share_invalid: {
    title: 'A file of share links cannot be used',
    remedy: 'The message names the file. Until it can be read, no link opens a service.',
    exit: 1,
  },
  timeout: {
    title: 'An operation timed out',
    remedy: 'The message names the operation and the timeout.',
    exit: 1,
  },
  aborted: {
    title: 'The operation was cancelled',
    remedy: 'Nothing to do: Portal was stopping.',
    exit: 1,
  },
  proxy_refused: {
    title: 'The proxy rejected a connection',
    remedy:
      'Ask its administrator which ports are open; 443 nearly always is. List relays that need no proxy in `NO_PROXY`.',
    exit: 1,
  },
  proxy_credentials: {
    title: 'The proxy requires credentials',
    remedy: 'Add them to the variable that names the proxy: `HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT`.',
    exit: 1,
  },
  relay_unreachable: {
    title: 'The relay is unreachable',
    remedy: 'Check its URL and your network. The agent retries with increasing delays.',
    exit: 1,
  },
  relay_untrusted: {
    title: 'The server at this URL is not a trusted relay',
    remedy:
      "If a proxy on your network intercepts TLS, have the relay's host exempted. If the relay has a private CA, write its file in portal.yaml: `relays: { urls: [{ url: https://relay.example.com, ca: ./ca.pem }] }`",
    exit: 1,
  },
  registry_unreachable: {
    title: 'The relay list is unreachable',
    remedy:
      'Check `relays: { registry }` and your network. Portal retries, and uses its last good copy meanwhile.',
    exit: 1,
  },
  registry_invalid: {
    title: 'The relay list is invalid',
    remedy:
      'Write it as JSON, `{"relays": [...]}`, as docs/reference/config.md shows. Portal uses its last good copy meanwhile.',
    exit: 1,
  },
  no_relay: {
    title: 'No relay is available for the service',
    remedy:
      '`portal list` shows each relay and its problem. Portal retries. Set `relays: { urls }` to name relays that are always used.',
    exit: 1,
  },
  relay_key_changed: {
    title: 'The key of the relay changed',
    remedy:
      'Ask its operator by phone or email, not through the relay. If the operator changed the key, delete the line of this relay from portal.lock.',
    exit: 1,
  },
  relay_not_locked: {
    title: 'The relay is not in portal.lock, and --frozen is set',
    remedy: 'Run `portal up` once without --frozen, review the new lines in portal.lock, and commit it.',
    exit: 1,
  },
  peer_key_changed: {
    title: 'The key of a peer changed',
    remedy:
      'Ask its operator. If the operator changed the key, start the relay once with `--trust-peer URL`.',
    exit: 1,
  },
  descriptor_invalid: {
    title: "A relay's descriptor is invalid",
    remedy: 'Ask its operator. Something on the network may have changed the descriptor: do not trust it.',
    exit: 1,
  },
  target_down: {
    title: 'The local service is unreachable',
    remedy:
      'Start it, or correct `target`. Portal does not need a restart; visitors get an error page meanwhile.',
    exit: 1,
  },
  target_untrusted: {
    title: "The target's certificate is not trusted",
    remedy: 'Set its CA, or the name in its certificate: `targetTls: { ca, serverName }`.',
    exit: 1,
  },
  not_through: {
    title: 'The lease is open, but visitors do not reach the service',
    remedy: 'The agent visited its own public URL and failed; the message says where. The agent retries.',
    exit: 1,
  },
  intercepted: {
    title: "The relay served a visitor a certificate that is not the agent's",
    remedy: 'The relay, or something between you and your visitors, intercepts TLS. Do not use this relay.',
    exit: 1,
  },
  agent_untrusted: {
    title: 'The agent behind the address is not the expected one',
    remedy:
      "Ask the owner of the service for their address (`portal identity`), by phone or e-mail. Pass it with `--identity`, or write it as the service's `identity` in portal.yaml.",
    exit: 1,
  },
  connect_denied: {
    title: 'The service does not admit this identity',
    remedy:
      'Give the owner your address (`portal identity` prints it). The owner adds it to `access: { identities }` of the service.',
    exit: 1,
  },
  connect_unsupported: {
    title: 'The service does not accept `portal connect`',
    remedy:
      'The owner sets `access: { identities }` of the service. Services without it are public: connect to their URL.',
    exit: 1,
  },
  service_offline: {
    title: 'The relay does not publish the service now',
    remedy: 'Check the name. If it is right, ask the owner to start the agent: `portal up`.',
    exit: 1,
  },
  internal: {
    title: 'Internal error in Portal',
    remedy: 'Report it with the log lines around it.',
    exit: 1,
    wire: true,
  },
  // --- errors that a relay sends on the control channel
  name_taken: {
    title: 'Another identity or agent uses this name now',
    remedy: 'Choose another `name` for the service, or run the agent with the identity that has the name.',
    exit: 1,
    wire: true,
  },
  name_reserved: {
    title: 'The name is reserved',
    remedy:
      'Choose another `name`. Relays reserve names such as www, mail, admin and dns by default (docs/guides/operate-a-relay.md lists them), and names that another identity used recently.',
    exit: 1,
    wire: true,
  },
  name_in_use: {
    title: 'An agent serves this name now',
    remedy: 'Stop that agent, or disconnect it with `portal agents disconnect ID`. Then release the name.',
    exit: 1,
    wire: true,
  },
  disconnected: {
    title: 'Your identity disconnected this agent',
    remedy:
      "Someone with your key disconnected it, on the relay's page or with `portal agents disconnect`. To start it again, run `portal down`, then `portal up`. If this wasn't you, your key is compromised: create a new identity.",
    exit: 1,
    wire: true,
  },
  name_invalid: {
    title: 'The name or hostname is invalid',
    remedy:
      'Use one DNS label as a name: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end. As a hostname, use the full name of a domain that you own.',
    exit: 1,
    wire: true,
  },
  domain_unproven: {
    title: 'The hostname is not proven to be yours',
    remedy:
      'Create the DNS record that the message shows; it names your identity. Portal keeps checking. `portal doctor` checks immediately.',
    exit: 1,
    wire: true,
  },
  capability_missing: {
    title: 'This relay does not offer what the service needs',
    remedy: 'Use another relay for the service, or change its mode.',
    exit: 1,
    wire: true,
  },
  ports_exhausted: {
    title: 'The relay has no free public port',
    remedy: 'Try again later, or use another relay.',
    exit: 1,
    wire: true,
  },
  limit_exceeded: {
    title: 'A limit of the relay is reached',
    remedy:
      "Make room as the message says; it names the limit and its value. The relay's operator sets the limit, and another relay may allow more.",
    exit: 1,
    wire: true,
  },
  relay_busy: {
    title: 'The relay is not accepting new sessions',
    remedy: 'Nothing to do: the agent retries after the pause that the relay requests.',
    exit: 1,
    wire: true,
  },
  peer_unknown: {
    title: 'A relay of the chain does not forward to the next relay',
    remedy:
      'Ask its operator to add the next relay as a peer: `portal relay --peer URL`. Or choose other relays for the chain.',
    exit: 1,
    wire: true,
  },
  peer_unreachable: {
    title: 'A relay of the chain cannot reach the next relay',
    remedy: 'The message names both relays. The agent retries.',
    exit: 1,
    wire: true,
  },
  hop_loop: {
    title: 'The chain contains a loop',
    remedy: 'List each relay once in the chain.',
    exit: 1,
    wire: true,
  },
  too_many_hops: {
    title: 'The chain is too long',
    remedy: 'Use three relays at most in a chain.',
    exit: 1,
    wire: true,
  },
  unauthorized: {
    title: 'The relay rejected the proof of identity',
    remedy: 'Check the clock and the identity file. The message says which check failed.',
    exit: 1,
    wire: true,
  },
  expired: {
    title: 'The challenge or ticket expired',
    remedy: 'The agent requests a new one. If the error repeats, check both clocks.',
    exit: 1,
    wire: true,
  },
  protocol: {
    title: 'A message violates the protocol',
    remedy: 'Agent and relay may have different versions. Update the older one.',
    exit: 1,
    wire: true,
  },
  version: {
    title: 'Agent and relay share no protocol version',
    remedy: "Update the older one. The message gives the relay's version.",
    exit: 1,
    wire: true,
  },
  not_found: {
    title: 'This identity has no such lease, agent or name',
    remedy:
      'It was closed, taken over or released meanwhile. An agent opens its lease again if it still needs it.',
    exit: 1,
    wire: true,
  },
  shutting_down: {
    title: 'The relay is shutting down',
    remedy: 'Nothing to do: the agent reconnects.',
    exit: 1,
    wire: true,
  },
} as const satisfies Record<string, ErrorInfo>;

export type ErrorCode = keyof typeof ERRORS;
