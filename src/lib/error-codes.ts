/**
 * Every error a person or a program can meet, in one table. `docs/reference/errors.md` is generated from it, and a
 * test checks that each code is documented and that no other code is ever thrown.
 */

export interface ErrorInfo {
  /** What went wrong, as a heading. */
  readonly title: string;
  /** What to do about it. */
  readonly remedy: string;
  /** Process exit code: 2 for what a person typed wrong, 1 for what failed at run time. */
  readonly exit: 1 | 2;
  /** True when the code travels on the control channel too (see docs/reference/protocol.md). */
  readonly wire?: true;
}

export const ERRORS = {
  // --- what a person typed: exit 2
  usage: {
    title: 'The command line is wrong',
    remedy: 'Look at the help of the command: `portal COMMAND --help`.',
    exit: 2,
  },
  config_not_found: {
    title: 'No portal.yaml was found',
    remedy: 'Run `portal init` to write one, or name it with -f FILE.',
    exit: 2,
  },
  config_unreadable: {
    title: 'The configuration file cannot be read',
    remedy: 'Check the path and its permissions.',
    exit: 2,
  },
  config_untrusted: {
    title: 'A configuration in a parent folder belongs to another user',
    remedy: 'Look at the file that the message names. If you trust it, name it with -f FILE.',
    exit: 2,
  },
  config_not_allowed: {
    title: 'The configuration asks for more than you allowed',
    remedy:
      'Check what it asks for, then run `portal allow`. In CI and in containers set PORTAL_ALLOW=1, or add --yes.',
    exit: 2,
  },
  config_invalid: {
    title: 'The configuration has errors',
    remedy: 'Each error is printed with its line and a hint; `portal validate` shows them again.',
    exit: 2,
  },
  restart_required: {
    title: 'The change cannot be applied to a running agent',
    remedy: 'Stop it with `portal down` and start it again with `portal up`.',
    exit: 2,
  },
  identity_unsafe: {
    title: 'The identity file can be read by other users',
    remedy: 'Run the chmod command that the hint shows. If others may have read it, make a new identity.',
    exit: 2,
  },
  identity_unreadable: {
    title: 'This user may not read the identity file',
    remedy: "Set HOME or PORTAL_HOME to this user's own folder, or let this user read the file.",
    exit: 2,
  },
  identity_invalid: {
    title: 'The identity file is not a Portal identity',
    remedy: 'Restore it from a backup, or move it away and let Portal make a new one.',
    exit: 2,
  },
  identity_mismatch: {
    title: 'The service belongs to another identity',
    remedy:
      'Run it with the identity file that the message asks for, or give the service another `name` and take `identity` out.',
    exit: 2,
  },
  lock_invalid: {
    title: 'portal.lock cannot be made sense of',
    remedy: 'Restore it from version control; after a merge keep the relays of both sides, each once.',
    exit: 2,
  },
  proxy_invalid: {
    title: 'A variable of the environment does not name a proxy',
    remedy:
      'Set it to `http://HOST:PORT` or `socks5h://HOST:PORT`, or unset it. See docs/guides/networks.md.',
    exit: 2,
  },
  service_manager_missing: {
    title: 'The service manager does not run for this user',
    remedy:
      'In a container, make `portal up` its command. On a machine with systemd, log in as the user (over ssh, or `machinectl shell USER@`; `su` does not do), or run `loginctl enable-linger USER` first. `portal service install --print` shows the unit.',
    exit: 1,
  },
  service_manager_failed: {
    title: 'The service manager refused',
    remedy: 'The message holds its reason. `portal service status` shows what is installed.',
    exit: 1,
  },
  already_running: {
    title: 'An agent already runs for this file',
    remedy: 'Look at it with `portal status`, or stop it with `portal down`.',
    exit: 1,
  },
  not_running: {
    title: 'No agent runs for this file',
    remedy: 'Start one with `portal up`.',
    exit: 1,
  },
  address_in_use: {
    title: 'The address to listen on is taken',
    remedy: 'Stop the program that holds it, or choose another port (0 takes any free one).',
    exit: 1,
  },
  listen_failed: {
    title: 'Listening failed',
    remedy: 'The message carries the reason of the operating system.',
    exit: 1,
  },
  state_unwritable: {
    title: 'A file Portal keeps cannot be written',
    remedy: 'Check permissions and free space of the folder in the message, or set PORTAL_HOME.',
    exit: 1,
  },
  sqlite_missing: {
    title: 'A relay finds no SQLite to keep names in',
    remedy:
      'Use Node 22.13 or newer; Node 24 is best. On an older one, install libsql beside Portal: `npm install --global libsql`, or without --global in the folder that has Portal.',
    exit: 1,
  },
  certificate_unavailable: {
    title: 'No certificate can be made for this hostname',
    remedy: 'The message names the hostname and which certificate sources fit it.',
    exit: 1,
  },
  acme_unreachable: {
    title: 'The certificate authority cannot be reached',
    remedy:
      'It is tried again by itself, and a certificate that is there stays served. Check your network, `acme: { directory }`, and `acme: { ca }` where the CA is private.',
    exit: 1,
  },
  acme_refused: {
    title: 'The certificate authority refuses the certificate',
    remedy:
      'The message carries its reason. It is tried again with growing pauses; `portal doctor` looks at what it needs.',
    exit: 1,
  },
  acme_rate_limited: {
    title: 'A rate limit of the certificate authority is reached',
    remedy:
      'Wait: the message says when it is tried again. Each new order counts, so restarting does not help; for trying things out, use the staging directory of the CA.',
    exit: 1,
  },
  all_failed: {
    title: 'No service could be started',
    remedy: 'The lines above say why, service by service.',
    exit: 1,
  },
  request_unknown: {
    title: 'No such request is kept',
    remedy: '`portal requests` lists those that are. They go with their age, and when there are too many.',
    exit: 1,
  },
  request_not_replayable: {
    title: 'A request cannot be replayed',
    remedy: 'The message says why. The inspector can send some of those with another body.',
    exit: 1,
  },
  timeout: {
    title: 'Something took longer than its bound',
    remedy: 'The message names what was waited for and how long.',
    exit: 1,
  },
  aborted: {
    title: 'The operation was cancelled',
    remedy: 'Nothing to do: it follows from a stop.',
    exit: 1,
  },
  proxy_refused: {
    title: 'The proxy does not let a connection through',
    remedy:
      'Ask its administrator which ports are open; 443 nearly always is. Name relays that need no proxy in `NO_PROXY`.',
    exit: 1,
  },
  proxy_credentials: {
    title: 'The proxy wants credentials',
    remedy:
      'Put them into the variable that names the proxy: `HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT`. See docs/guides/networks.md.',
    exit: 1,
  },
  relay_unreachable: {
    title: 'The relay cannot be reached',
    remedy: 'Check its URL and your network; the agent keeps trying with growing pauses.',
    exit: 1,
  },
  relay_untrusted: {
    title: 'What answers is not a relay that is trusted',
    remedy:
      'If the relay uses a private CA, name its file: `relays: { urls: [{ url, ca }] }`. If something on the network ends TLS, have the host of the relay exempted.',
    exit: 1,
  },
  registry_unreachable: {
    title: 'The list of relays cannot be fetched',
    remedy:
      'Check `relays: { registry }` and your network. It is tried again by itself; meanwhile the last good copy counts, where there is one.',
    exit: 1,
  },
  registry_invalid: {
    title: 'The list of relays is not one',
    remedy:
      'It is JSON, `{"relays": [...]}`; docs/reference/config.md shows it. Meanwhile the last good copy counts, where there is one.',
    exit: 1,
  },
  no_relay: {
    title: 'There is no relay to publish the service on',
    remedy:
      '`portal list` shows the relays there are, and what is wrong with each. It is tried again by itself; `relays: { urls }` names relays that are always used.',
    exit: 1,
  },
  relay_key_changed: {
    title: 'The relay answers with another key than before',
    remedy:
      'Ask its operator, not over the relay. If the key did change, remove the line of portal.lock that the message names.',
    exit: 1,
  },
  relay_not_locked: {
    title: 'The relay is not in portal.lock, and the lock is frozen',
    remedy: 'Run `portal up` once without --frozen, look at what is new in the file, and commit it.',
    exit: 1,
  },
  peer_key_changed: {
    title: 'A peer of this relay has another key than before',
    remedy:
      'Ask its operator whether the key was replaced. If it was, start the relay once with `--trust-peer URL`.',
    exit: 1,
  },
  descriptor_invalid: {
    title: "A relay's descriptor is not valid",
    remedy: 'Its operator has to look; a descriptor that was changed on the way is not to be trusted.',
    exit: 1,
  },
  target_down: {
    title: 'The local service does not answer',
    remedy: 'Start it, or correct `target`. Visitors are told meanwhile; nothing has to be started again.',
    exit: 1,
  },
  target_untrusted: {
    title: "The target's certificate is not trusted",
    remedy: 'Name its CA, or the name in its certificate: `targetTls: { ca, serverName }`.',
    exit: 1,
  },
  not_through: {
    title: 'The lease is open, but a visitor does not get through',
    remedy: 'The agent visited its own public URL and failed; the message says where. It keeps trying.',
    exit: 1,
  },
  intercepted: {
    title: 'The relay answered a visitor with a certificate that is not ours',
    remedy: 'Something between you and your visitors terminates TLS. Do not use this relay.',
    exit: 1,
  },
  internal: {
    title: 'A fault in Portal itself',
    remedy: 'Please report it with the log lines around it.',
    exit: 1,
    wire: true,
  },
  // --- what a relay answers on the control channel
  name_taken: {
    title: 'Another holder has this name now',
    remedy: 'Choose another `name` for the service, or use the identity that holds it.',
    exit: 1,
    wire: true,
  },
  name_reserved: {
    title: 'The name is reserved for another identity',
    remedy: 'Choose another `name`, or use the identity it is reserved for.',
    exit: 1,
    wire: true,
  },
  name_in_use: {
    title: 'The name is served by an agent now',
    remedy:
      'Stop that agent, or disconnect it (`portal agents disconnect ID`); the name can be released after that.',
    exit: 1,
    wire: true,
  },
  disconnected: {
    title: 'The agent was disconnected by its own identity',
    remedy:
      'Somebody with your key did so, at the page of the relay or with `portal agents disconnect`. To bring this agent back, start it again: `portal down`, then `portal up`. If it was none of you, others have your key: make a new identity.',
    exit: 1,
    wire: true,
  },
  name_invalid: {
    title: 'The name or hostname cannot be used',
    remedy:
      'A name is one DNS label: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end. A hostname is a domain of your own, in full.',
    exit: 1,
    wire: true,
  },
  domain_unproven: {
    title: 'The hostname is not proven to be yours',
    remedy:
      'Create the DNS record that the message shows: it names your identity. It is looked for again by itself; `portal doctor` looks at once.',
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
    title: 'The relay has no public port left',
    remedy: 'Try again later, or use another relay.',
    exit: 1,
    wire: true,
  },
  limit_exceeded: {
    title: "One of the relay's limits is reached",
    remedy:
      'The message names the limit, its value and what makes room. The operator of the relay sets it; another relay may allow more.',
    exit: 1,
    wire: true,
  },
  relay_busy: {
    title: 'The relay takes no new session now',
    remedy: 'The agent tries again by itself, after the pause that the relay asked for.',
    exit: 1,
    wire: true,
  },
  peer_unknown: {
    title: 'A relay of the chain does not pass connections on to the next',
    remedy:
      'Its operator adds the next relay as a peer: `portal relay --peer URL`. Or choose other relays for the chain.',
    exit: 1,
    wire: true,
  },
  peer_unreachable: {
    title: 'A relay of the chain cannot reach the next',
    remedy: 'The message names both. It is tried again by itself.',
    exit: 1,
    wire: true,
  },
  hop_loop: {
    title: 'The chain leads back to a relay that it came from',
    remedy: 'A chain passes each relay once.',
    exit: 1,
    wire: true,
  },
  too_many_hops: {
    title: 'The chain is too long',
    remedy: 'A chain has three relays at most.',
    exit: 1,
    wire: true,
  },
  unauthorized: {
    title: 'The proof of identity was refused',
    remedy: 'Check the clock and the identity file; the message says what did not hold.',
    exit: 1,
    wire: true,
  },
  expired: {
    title: 'The challenge or ticket is too old',
    remedy: 'The agent asks for a fresh one by itself; if it repeats, check both clocks.',
    exit: 1,
    wire: true,
  },
  protocol: {
    title: 'A message did not follow the protocol',
    remedy: 'Agent and relay may be of different versions; update the older one.',
    exit: 1,
    wire: true,
  },
  version: {
    title: 'Agent and relay share no protocol version',
    remedy: 'Update the older one; the message lists what the relay speaks.',
    exit: 1,
    wire: true,
  },
  not_found: {
    title: 'No such lease, agent or name of this identity',
    remedy:
      'It was closed, taken over or released in the meantime; an agent opens its lease again if it is still wanted.',
    exit: 1,
    wire: true,
  },
  shutting_down: {
    title: 'The relay is going away',
    remedy: 'The agent reconnects by itself.',
    exit: 1,
    wire: true,
  },
} as const satisfies Record<string, ErrorInfo>;

export type ErrorCode = keyof typeof ERRORS;
