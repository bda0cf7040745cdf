/** docs/reference/events.md: what a command prints with `--json`. */
export function renderEventsDoc(): string {
  return `<!-- Generated from src/cli/docs-events.ts by scripts/generate.mjs. Do not edit. -->\n\n${EVENTS}\n`;
}

const EVENTS = `# Events

With \`--json\`, \`portal up\` and \`portal expose\` print these, each with \`time\` (ISO 8601) and \`event\`:

| event | fields |
|---|---|
| \`started\` | pid, file, ca? |
| \`lease\` | service, relay, phase, lease?, url?, tcpAddr?, udpAddr?, askedPort?, error?; in phase \`ready\` proven, and unproven? (failures, reason) |
| \`unplaced\` | service, error: it has no relay now, and so no lease |
| \`ready\` | services: \`{name: {urls: [], tcp: [], udp: [], servedAs}}\`, once all first leases are through; unproven?, unreachable?: names. servedAs: \`http\`, \`stream\`, \`tcp\`, \`udp\` or \`undecided\`, as in \`portal status\` |
| \`served\` | service, servedAs, target: the target of a service without \`mode\` showed what it speaks |
| \`applied\` | revision, opened, updated, replaced, closed, kept, failed: names; retiring?: \`{name: count}\`, visitors still on the previous configuration; durationMs |
| \`rejected\` | errors: \`[{file, line, column, path, code, message, hint?}]\` |
| \`inspector\` | url, askedPort? (that port is in use) |
| \`target\` | service, target, reachable, error?: whether a local service answers, at its start and when that changes |
| \`health\` | service, healthy, error?: the target of a service with \`health\` is unhealthy, or healthy again |
| \`notice\` | kind, message: something was created, or is another than asked for, told once. \`port_in_use\` (askedPort, port), \`lock_written\` and \`lock_changed\` (file, relay), \`identity_created\` (file, address), \`ca_created\` (file), \`carrier_fallback\` (relay, carrier), \`name_rejected\` (service, framework, name) |
| \`refused\` | service, reason, remote |
| \`unserved\` | service, relay, reason, count: visitors on whom the relay gave up |
| \`stopped\` | reason: \`SIGINT\`, \`SIGTERM\`, \`SIGHUP\`, \`down\`, \`output closed\`, … |
| \`error\` | code, message, hint: what the process ends with |
| \`dropped\` | lines: how many were not read in time and are missing here |

A service that comes back to a relay where its last visitors still finish has two leases there for a while: \`lease\` tells whose
\`draining\` and \`closed\` are.

Other commands print one object: \`valid\` (file, services, warnings, lock?, notAllowed?), \`plan\` (actions, chosenLater?, lock?, notAllowed?, against?), \`allowed\` (file, allowedAt?, permissions; with \`--list\` one for each file), \`revoked\` (file, revoked), \`status\`, \`identity\`, \`trust\` (ca, fingerprint, env, stores: \`[{store, name, path, exists, trusted, action?, created?, message?, hint?, commands}]\`, notes), \`created\`, \`schema\`,
\`completion\`, \`service\` (unit, path, file?, action?: \`installed\`, \`updated\`, \`unchanged\` or \`removed\`, env?, installed?, active?, enabled?, missing?, boot?, text?), \`wiped\` (identity, agents); \`portal requests\` prints a \`request\` each (id, startedAt, service, source: its portal.yaml,
method, target, authority, remote, outcome: \`done\`, \`broken\`, \`open\` or \`switched\`, status?, firstByteMs?, totalMs?, requestBytes,
responseBytes, type?, replayOf?), \`portal requests show\` one with version, reason?, request, response (each: headers, trailers, body) and
messages?, or \`curl\` (id, command); \`portal replay\` prints \`replayed\`, as a \`request\`; \`portal list\` prints a \`relay\` each (url, source: \`urls\`, \`embedded\`, \`service\`, \`chain\`, \`registry\` or
\`discovered\`, health: \`healthy\`, \`unhealthy\` or \`unknown\`, inUse, rttMs?, capabilities?, carriers?, address?, locked?,
error?), and \`registry\` (source, relays, inChains?, fetchedAt?, error?) where there is one. \`portal relay\` prints \`listening\` (url, domain, addresses, ca?, metrics?) first. \`portal logs --json\` prints events as above,
and \`log\` (level, message, fields) besides.`;
