/** docs/reference/events.md: what a command prints with `--json`. */
export function renderEventsDoc(): string {
  return `<!-- Generated from src/cli/docs/events.ts by scripts/generate.mjs. Do not edit. -->\n\n${EVENTS}`;
}

const EVENTS = `# Events

Write a program that runs Portal and follows what it does.

With \`--json\`, a command prints one JSON object per line on stdout. Each has \`time\` (ISO 8601) and \`event\`. A field with \`?\` can be missing. New
events and fields may appear in any version: ignore what you do not know.

## portal up, portal expose

| event | when | fields |
|---|---|---|
| \`started\` | the agent starts | pid, file, ca?, metrics? (their URL) |
| \`lease\` | a lease changes its phase | service, relay, phase, lease?, url?, tcpAddr?, udpAddr?, askedPort?, portRange? (from, to), privateOf? (of a private service: the identity that visitors expect), error?, nextInMs? (until the next attempt); in phase \`ready\` proven, unproven? (failures, reason), and unreachable? (true: a target is down) |
| \`unplaced\` | a service has no relay now, and so no lease | service, error |
| \`ready\` | the first leases of each service are ready or have failed | services: \`{name: {urls: [], tcp: [], udp: [], servedAs}}\`; unproven?, unreachable?: names. servedAs: \`http\`, \`stream\`, \`tcp\`, \`udp\` or \`undecided\`, as in \`portal status\` |
| \`served\` | the target of a service without \`mode\` shows its protocol | service, servedAs, target |
| \`applied\` | a save takes effect | revision, opened, updated, replaced, closed, kept, failed: names; exposed?: names that opened to more people; expired?: names closed by \`expires\`; retiring?: \`{name: count}\`, visitors still on the previous configuration; durationMs |
| \`rejected\` | a save has errors | errors: \`[{file, line, column, path, code, message, hint?, variable? (the one that is not set)}]\` |
| \`inspector\` | the inspector's page is ready | url, askedPort? (when that port is in use) |
| \`target\` | a local service becomes reachable or unreachable | service, target, routes? (to this target, if the service has several), reachable, error? |
| \`health\` | the target of a service with \`health\` becomes unhealthy, or healthy again | service, healthy, error? |
| \`command\` | the command of a service starts, ends, or waits for other services | service, name (the service, with the route's path unless that is \`/\`), state: \`waiting\`, \`running\`, \`exited\` or \`stopped\`; pid?, exit? (code, signal, error?), nextInMs? (until it starts again), waitsFor?: names |
| \`output\` | the command of a service prints a line | service, name, stream: \`stdout\` or \`stderr\`, text |
| \`notice\` | something needs your attention once | kind, message, and the fields [below](#notices) |
| \`refused\` | a gate of \`access\` rejects a visitor | service, reason (\`ip\`, \`identity\`, \`rate\`, \`pin\`, \`basic\`, \`oidc\`, \`webhook\`), remote |
| \`unserved\` | the relay could not serve visitors | service, relay, reason, count |
| \`held\` | a POST waits until the target of its route is back ([webhooks](../guides/webhooks.md#keep-webhooks-while-your-receiver-is-down)) | service, route, id, waiting (requests of the route that wait now), until |
| \`delivered\` | the target responded to a held request with 2xx, 3xx or 4xx | service, route, id, waiting, status, heldMs, attempts |
| \`expired\` | a held request was not delivered in time, or is damaged | service, route, id, waiting, reason, attempts |
| \`stopped\` | the agent ends | reason: \`SIGINT\`, \`SIGTERM\`, \`SIGHUP\`, \`down\`, \`output closed\`, …; disconnected?: visitors that did not finish within the drain |
| \`error\` | the command fails | code, message, hint |
| \`dropped\` | the reader was too slow, and lines are missing here | lines: how many |

A service that returns to a relay while its previous visitors finish there has two leases for a while. \`lease\` shows which one is \`draining\` or
\`closed\`.

### How Portal notices that a service stops

While a local service is reachable, Portal checks it from time to time, even without visitors. It always does this, so that \`portal status\`, the live
view, the inspector and these events agree. Visits count as checks, and \`health\` replaces them.

| the target | the check | how often |
|---|---|---|
| a port of this machine (Linux) | reads the system's list of listening ports; the service notices nothing | 3 s |
| a port elsewhere, a port on macOS or Windows, a unix socket | opens a TCP connection and closes it; sends nothing, except the PROXY header if \`proxyProtocol\` is set | 15 s at first, then up to 60 s |
| mode \`udp\` | as in the first row; elsewhere none, because a datagram would reach the service | 3 s, or never |

Portal checks an unreachable service again after half a second, then up to every 3 seconds. In mode \`udp\` the live view shows no ✓: an open port does not
show that a service responds.

### Notices

| kind | fields |
|---|---|
| \`port_in_use\` | askedPort, port, holder? (the program that uses askedPort) |
| \`lock_written\`, \`lock_changed\` | file, relay |
| \`identity_created\` | file, address |
| \`ca_created\` | file |
| \`terms_agreed\` | directory (of the CA whose terms of service you agree to) |
| \`replicas_missing\` | service, relay |
| \`carrier_fallback\` | relay, carrier |
| \`name_rejected\` | service, framework, name |
| \`certificate_renewed\`, \`certificate_failed\`, \`certificate_restored\`, \`certificate_expires\` | service, notAfter (of the current certificate) |
| \`sign_in_failed\` | service, issuer (of the provider in \`access.oidc\`) |
| \`command_port\` | service, name, port (on which the command listens), askedPort |
| \`dns_missing\` | service, name, domain (of the relay) |

## Other commands

| event | command | fields |
|---|---|---|
| \`valid\` | \`portal validate\` | file, services, warnings, lock?, notAllowed? |
| \`plan\` | \`portal plan\` | actions, chosenLater?, lock?, notAllowed?, against? |
| \`allowed\` | \`portal allow\` | file, allowedAt?, permissions; with \`--list\` one event for each file |
| \`revoked\` | \`portal allow --revoke\` | file, revoked |
| \`env\` | \`portal env\` | variables: \`{name: value}\` |
| \`status\` | \`portal status\` | the state of the agent; without a file, one event for each running agent |
| \`unresponsive\` | \`portal status\`, one for each agent that does not respond | pid |
| \`relay\` | \`portal list\`, one for each relay | url, source: \`urls\`, \`embedded\`, \`service\`, \`chain\`, \`registry\` or \`discovered\`; health: \`healthy\`, \`unhealthy\` or \`unknown\`; inUse, rttMs?, capabilities?, carriers?, address?, locked?, error? |
| \`registry\` | \`portal list\`, if there is one | source, relays, inChains?, fetchedAt?, error? |
| \`log\` | \`portal logs\`, besides the events above | level, message, fields |
| \`access\` | \`portal logs --access\`, one for each request | service, remote, method, target, version, authority, status, responseBytes, totalMs, cut? (the response is incomplete), referer?, userAgent? |
| \`request\` | \`portal requests\`, one for each request | id, startedAt, service, source (its portal.yaml), method, target, authority, remote, outcome: \`done\`, \`broken\`, \`open\` or \`switched\`; status?, firstByteMs?, totalMs?, requestBytes, responseBytes, type?, replayOf?, deliveryOf? (the id of the held request that this one delivers) |
| \`request\` | \`portal requests show\` | the same, with version, reason?, request, response (each: headers, trailers, body) and messages? |
| \`curl\` | \`portal requests show --curl\` | id, command |
| \`replayed\` | \`portal replay\` | as \`request\` |
| \`listening\` | \`portal relay\`, first | url, domain, addresses, httpRedirect? (where plain HTTP is redirected), ca?, metrics? |
| \`check\` | \`portal doctor\`, one for each finding | check, about, level: \`ok\`, \`warning\`, \`problem\` or \`skipped\`; message, hint?, expiresAt?, because? (the subject with the problem that causes this one, which does not count) |
| \`checked\` | \`portal doctor\`, last | ok, warnings, problems, skipped: counts |
| \`trust\` | \`portal trust\` | ca, fingerprint, env, stores: \`[{store, name, path, exists, trusted, action?, created?, message?, hint?, commands}]\`, notes |
| \`service\` | \`portal service\` | unit, path, file?, action?: \`installed\`, \`updated\`, \`unchanged\` or \`removed\`; env?, installed?, active?, enabled?, missing?, boot?, text? |
| \`identity\` | \`portal identity\` | the address and its file |
| \`held_request\` | \`portal requests held\`, one for each request | id, source (its portal.yaml), service, route, heldAt, until, method, target, authority, remote, bodyBytes |
| \`wiped\` | \`portal requests wipe\` | identity, agents, held (how many requests were not delivered) |
| \`created\` | \`portal init\` | file, schema? (the copy for editors), port?, from?, services?, notes? |
| \`hash\` | \`portal hash\` | algorithm, hash |
| \`schema\`, \`completion\` | \`portal schema\`, \`portal completion\` | the text |
`;
