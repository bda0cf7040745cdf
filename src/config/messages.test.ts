import { expect, it } from 'vitest';
import { loadConfig } from './load.js';
import type { Problem } from './text/problem.js';

/** The messages for a text. */
async function said(services: string, rest = ''): Promise<string[]> {
  const text = `version: 1\n${rest}\nservices:\n${services}\n`;
  const result = await loadConfig({
    file: '-',
    cwd: '/nowhere',
    env: { HOST: 'a b' },
    stdin: async () => text,
  });
  if (result.ok) return [];
  return result.problems.map(({ message, hint }) => (hint === undefined ? message : `${message} | ${hint}`));
}

const DOT_SEGMENT = (route: string): string =>
  `the route "${route}" is ambiguous | Use plain characters: no escapes, no \`;\` or backslash, no double slash, no dot segments.`;

// Each line is a mistake that people make, and its message.
it.each([
  // --- targets
  ['  a: 70000', '70000 is out of range: service "a" takes 1 to 65535'],
  [
    '  a: localhost',
    '"localhost" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Add the port, as in localhost:3000. For a folder, write ./localhost.',
  ],
  [
    '  a: "http://x/y"',
    'a target URL ends after its port; "/y" has no meaning here | Write http://x. To publish one path, use `routes: { /y: x }`.',
  ],
  [
    '  a: ${HOST}',
    'the value of "${HOST}" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write for example 3000, localhost:3000, unix:/run/app.sock or ./public.',
  ],
  [
    '  a: true',
    'service "a" must be a port, `host:port`, `unix:/path`, `http(s)://host:port`, a folder, or a mapping | For example `a: 3000`.',
  ],
  [
    '  a: {}',
    '`target` is missing: where should visitors go? | Add it, for example `target: 3000`, or `command: npm run dev`.',
  ],
  ['  a: { taget: 3000 }', 'unknown key "taget" in service "a" | Did you mean `target`?'],
  [
    '  a: 8443',
    'this is the port of the embedded relay, so visitors would loop | Use the port of your program, or move the relay with `relays: { embedded: { port: 0 } }`.',
  ],
  // --- folders
  [
    '  a: { mode: tcp, target: ./public }',
    'a folder cannot be served in mode tcp | Remove `mode`: Portal serves the files over HTTPS.',
  ],
  [
    '  a: { target: ./public, proxyProtocol: v2 }',
    '`proxyProtocol` cannot be used with a folder | Remove it: Portal serves the files itself.',
  ],
  [
    '  a: { routes: { /: { target: ../public, command: x } } }',
    '`command` cannot be used with a folder as target | Remove `target` if the command is a server, or `command` if Portal should serve the folder.',
  ],
  // --- commands
  ['  a: { command: "  " }', '"  " is not a command for the shell, such as npm run dev'],
  [
    '  a: { target: 1, cwd: ./web, env: { A: b } }',
    '`cwd` needs `command` | Add the program that Portal should start, for example `command: npm run dev`, or remove it.',
    '`env` needs `command` | Add the program that Portal should start, for example `command: npm run dev`, or remove it.',
  ],
  [
    '  a: { command: x, routes: { /: 1 } }',
    '`command` and `routes` cannot be used together | Move the command to a route, for example `/: { command: npm run dev }`.',
  ],
  [
    '  a: { command: x, env: { "A-B": c } }',
    '"A-B" is not the name of an environment variable | Use letters, digits and underscores.',
  ],
  [
    '  a: { command: x, env: { PORT: "1" } }',
    'Portal sets `PORT` for a command without `target` | Write the port as the target, for example `target: 3000`.',
  ],
  ['  a: { command: x, env: { A: 1 } }', '`A` must be text | Put the value in quotes.'],
  [
    '  a: { command: x, cwd: ~/web }',
    '`~` is not expanded to your home directory here | Write ${HOME} instead, or a path relative to this file.',
  ],
  ['  a: { command: x, dependsOn: [apl] }\n  api: 1', 'there is no service "apl" | Did you mean `api`?'],
  [
    '  a: { target: 1, dependsOn: [api] }\n  api: 2',
    '`dependsOn` needs `command` | Add the program that Portal should start, for example `command: npm run dev`, or remove it.',
  ],
  [
    '  a: { command: x, dependsOn: [a] }',
    'the service depends on itself | Remove one of them from `dependsOn`.',
  ],
  [
    '  a: { command: x, dependsOn: [b] }\n  b: { command: x, dependsOn: [c] }\n  c: { command: x, dependsOn: [a, d] }\n  d: 1',
    'these services depend on each other: a, b, c and a | Remove one of them from `dependsOn`.',
  ],
  [
    '  a: { command: x, env_file: a.env }',
    'unknown key "env_file" in service "a" | Portal calls it `envFile`, and it belongs at the top level.',
  ],
  [
    '  a: { command: x, environment: { A: b } }',
    'unknown key "environment" in service "a" | Portal calls it `env`.',
  ],
  ['  a: { target: 1, run: x }', 'unknown key "run" in service "a" | Portal calls it `command`.'],
  [
    '  a: { target: 1, healthcheck: /up }',
    'unknown key "healthcheck" in service "a" | Portal calls it `health`.',
  ],
  // --- names
  [
    '  My App: 3000',
    'the key "My App" is also the service\'s name, and that must be one DNS label: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end | Rename it, or add a name, as in `name: my-app`.',
  ],
  [
    '  ${user}: 3000',
    'the key "${user}" is also the service\'s name, and that must be one DNS label: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end | Variables are not replaced in keys; write `name: ${user}` below a plain key.',
  ],
  [
    '  a: { target: 1, name: A.b }',
    '"A.b" is not one DNS label: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end | For your own domain, write `hostname: A.b`. For a name on the relay, write `name: a`.',
  ],
  [
    '  a: 1\n  b: { target: 2, name: a }',
    'the same name as service "a" (line 4), on the same relay | Give one of them another `name`.',
  ],
  // --- modes
  [
    '  a: { mode: udp, target: 1, access: { pin: "1234" } }',
    '`access.pin` needs mode auto, stream or http; this service runs mode udp | This gate reads requests. `allowIps` works in every mode.',
  ],
  [
    '  a: { target: 1, port: 25565 }',
    '`port` needs mode tcp or udp; this service runs mode auto, the default | Omit it, and visitors use the URL of the service. For a public port, add `mode: tcp`.',
  ],
  [
    '  a: { port: 3000 }',
    '`port` needs mode tcp or udp; this service runs mode auto, the default | Did you mean `target: 3000`?',
  ],
  [
    '  a: { target: 1, tls: true }',
    '`tls` must be `auto`, `local`, `acme`, or a mapping with `source`, or with `cert` and `key` | Omit `tls`. Portal then uses a public CA for public names, and the local CA for local ones.',
  ],
  [
    '  a: { mode: stream, target: 1, routes: { /: 1 } }',
    '`routes` needs mode http; this service runs mode stream | Other modes forward bytes without reading paths in them.',
  ],
  [
    '  a: { mode: stream, target: 1, inspect: true }',
    '`inspect` needs mode auto or http; this service runs mode stream | Other modes forward bytes without reading requests in them.',
  ],
  [
    '  a: { mode: stream, target: 1, hold: 10m }',
    '`hold` needs mode auto or http; this service runs mode stream | Other modes forward bytes without reading requests in them. For webhooks, remove `mode`.',
  ],
  [
    '  a: { target: 1, hold: 10 minutes }',
    '"10 minutes" is not a time such as 90s, 10m, 8h or 7d | Write 10m.',
  ],
  [
    '  a: { target: 1, hold: 8d }',
    'a request cannot be held for 8d: 7 days is the limit | Write `hold: 7d`, or a shorter time.',
  ],
  [
    '  a: { routes: { /hooks: { target: 1, hold: 200h } } }',
    'a request cannot be held for 200h: 7 days is the limit | Write `hold: 7d`, or a shorter time.',
  ],
  [
    '  a: { mode: tcp, target: 1, forwarded: false }',
    '`forwarded` needs mode auto or http; this service runs mode tcp | Other modes forward bytes without adding headers.',
  ],
  [
    '  a: { target: 1, proxyProtocol: v2, inspect: true }',
    '`inspect` needs mode auto or http; this service runs mode stream because of its `proxyProtocol` | Other modes forward bytes without reading requests in them.',
  ],
  [
    '  a: { target: 1, alpn: [postgresql], forwarded: false }',
    '`forwarded` needs mode auto or http; this service runs mode stream because of its `alpn` | Other modes forward bytes without adding headers.',
  ],
  [
    '  a: { mode: http, target: 1, routes: { /: 1 } }',
    '`target` and `routes` cannot be used together | Make the target the route `/`.',
  ],
  [
    '  a: { mode: http }',
    '`target` is missing: where should visitors go? | Add `target: 3000`, `command: npm run dev`, or `routes`.',
  ],
  [
    '  a: { mode: udp, target: 1, carrier: tls }',
    '`carrier: tls` is invalid in mode udp | Remove it for encrypted packets over UDP, or use `ws`, a WebSocket over TLS.',
  ],
  [
    '  a: { mode: udp, target: "unix:/run/dns.sock" }',
    'this target does not accept datagrams | Use a UDP port, for example `target: 5353` or `target: 192.168.1.7:53`.',
  ],
  [
    '  a: { mode: http, target: 1, proxyProtocol: v2 }',
    '`proxyProtocol` needs mode stream or tcp; this service runs mode http | In mode http, the target gets the address in `X-Forwarded-For`. Mode udp has no connection that could carry it.',
  ],
  [
    '  a: { mode: udp, target: 1, proxyProtocol: v2 }',
    '`proxyProtocol` needs mode stream or tcp; this service runs mode udp | In mode http, the target gets the address in `X-Forwarded-For`. Mode udp has no connection that could carry it.',
  ],
  [
    '  a: { mode: udp, target: 1, targetTls: { ca: x } }',
    '`targetTls` needs mode auto, stream, http or tcp; this service runs mode udp | Portal does not use TLS to targets in mode udp.',
  ],
  [
    '  a: { target: 1, targetTls: { insecureSkipVerfy: true } }',
    'unknown key "insecureSkipVerfy" in `targetTls` | Did you mean `insecureSkipVerify`?',
  ],
  ['  a: { target: 1, proxyProtocol: v1 }', '`proxyProtocol` must be v2 | Did you mean `v2`?'],
  ['  a: { mode: htpp, target: 1 }', '`mode` must be auto, stream, http, tcp or udp | Did you mean `http`?'],
  [
    '  a: { mode: tcp, target: 1, carrier: raw }',
    '`carrier: raw` would send the bytes of a tcp service in the clear | Remove it: tls is the default in mode tcp.',
  ],
  ['  a: { mode: tcp, target: 1, port: 99999 }', '99999 is out of range: `port` takes 1 to 65535'],
  // --- routes
  ['  a: { mode: http, routes: { api: 3000 } }', 'the route "api" does not begin with `/` | Write `/api`.'],
  [
    '  a: { mode: http, routes: { "/a?b": 3000 } }',
    'the route "/a?b" is not a path | Write only a path, without query, fragment or spaces.',
  ],
  ['  a: { mode: http, routes: { /a: 3000, /a/: 3001 } }', 'this is the same route as "/a"'],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: { "X Y": a } } } }',
    '"X Y" is not the name of a header',
  ],
  [
    '  a: { mode: http, routes: { "/a%2Fb": 3000 } }',
    'the route "/a%2Fb" is ambiguous | Use plain characters: no escapes, no `;` or backslash, no double slash, no dot segments.',
  ],
  ['  a: { mode: http, routes: { /a/../b: 3000 } }', DOT_SEGMENT('/a/../b')],
  ['  a: { mode: http, routes: { //a: 3000 } }', DOT_SEGMENT('//a')],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: { Host: x } } } }',
    'the header Host cannot be set here | For the name of the target, write `host: target` next to `headers`.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: { content-length: "1" } } } }',
    'the header content-length cannot be set here | Remove it: Portal sets the length and the destination of a message.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, responseHeaders: { Transfer-Encoding: null } } } }',
    'the header Transfer-Encoding cannot be set here | Remove it: it is about a single connection, and Portal has one with each side.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: { X-A: a, x-a: b } } } }',
    'the header x-a is a duplicate in another spelling',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, responseHeaders: { X-A: "a\\nb" } } } }',
    'the value of the header X-A has characters that are not allowed in a header',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: { X-A: 1 } } } }',
    '`X-A` must be text, or null to remove the header | For example `X-A: demo`.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, host: http://localhost:1 } } }',
    '"http://localhost:1" is not `visitor`, `target`, or a name such as localhost:3000',
  ],
  [
    '  a: { mode: stream, target: 1, host: shop.example.com }',
    '`host` needs mode auto or http; this service runs mode stream | Other modes forward bytes without reading headers in them. For your own domain, use `hostname`.',
  ],
  [
    '  a: { mode: http, target: 1, alpn: [h3] }',
    'a service in mode http or with a PIN accepts only h2 and http/1.1 | Remove `alpn` to offer both. Mode stream without a PIN forwards any protocol.',
  ],
  [
    '  a: { mode: http, routes: { /: { stripPrefix: true } } }',
    '`target` is missing in route "/" | Add it, for example `target: 3000`, or `command: npm run dev`.',
  ],
  ['  a: { mode: http, routes: {} }', '`routes` is empty | For example `routes: { /api: 3001, /: 5173 }`.'],
  // --- access
  ['  a: { target: 1, access: { pin: 1234 } }', '`pin` must be text | Put the value in quotes.'],
  ['  a: { target: 1, access: { pin: "12" } }', '`pin` is shorter than 4 characters'],
  ['  a: { target: 1, pin: "1234" }', 'unknown key "pin" in service "a" | Write `access: { pin: … }`.'],
  [
    '  a: { target: 1, access: { allowIps: [10.0.0.0/33] } }',
    '"10.0.0.0/33" is not an IP address or range: /33 is beyond /32 | For example 85.99.254.169, 10.0.0.0/8 or "2001:db8::/32".',
  ],
  [
    '  a: { target: 1, access: { identities: [team] } }',
    'this file has no `team` | Add it at the top level: `team: ["0x…"]`. `portal identity` prints an address.',
  ],
  [
    '  a: { target: 1, access: { identities: [bob] } }',
    '"bob" is not `0x` and 40 hex digits, or `team` | Ask bob for the address that `portal identity` prints.',
  ],
  [
    '  a: { target: 1, access: { identities: ["0x371531B8ED16256DE8a3f97A99BA7206788143e0"] } }',
    '"0x371531B8ED16256DE8a3f97A99BA7206788143e0" is not the address of an identity: its checksum is wrong | Copy it again. `portal identity` prints it on the machine of that identity.',
  ],
  [
    '  a: { target: 1, alpn: [http/1.1], access: { identities: [] } }',
    '`alpn` cannot be used with `access.identities` | Remove it: `portal connect` carries any protocol.',
  ],
  [
    '  a: { target: 1, mode: tcp, access: { identities: [] } }',
    '`access.identities` needs mode auto, stream or http; this service runs mode tcp | Visitors prove their identity inside the TLS that Portal adds. Remove `mode`: any protocol works without it.',
  ],
  [
    '  a: { target: 1, access: { sharing: true, allowIps: [10.0.0.1] } }',
    '`sharing` needs `pin`, `basic` or `oidc`: without one, a link opens nothing | Add one of them, or remove `sharing`.',
  ],
  [
    '  a: { target: 1, access: { pin: "1234", sharing: maybe } }',
    '`sharing` must be true or false | For example `sharing: true`.',
  ],
  [
    '  a: { target: 1, access: { webhook: { secret: 12345678 } } }',
    '`provider` is missing: who signs the webhooks? | Add `provider: github`, slack or stripe. For another sender, add `header` and `algorithm`.',
  ],
  [
    '  a: { target: 1, access: { webhook: { secret: "12345678", header: X-Signature } } }',
    '`algorithm` is missing: who signs the webhooks? | Add it, for example `algorithm: sha256`.',
  ],
  [
    '  a: { target: 1, access: { webhook: { secret: "12345678", provider: github, header: X-Signature } } }',
    '`provider` cannot be used with `header` and `algorithm` | A provider has its own header. Remove one or the other.',
  ],
  [
    '  a: { target: 1, access: { oidc: { issuer: "http://login.example.com", clientId: a, allow: { emails: [a@b.c] } } } }',
    '`issuer` is not an https:// URL | For example https://accounts.google.com.',
  ],
  [
    '  a: { target: 1, access: { oidc: { issuer: "https://login.example.com", clientId: a, allow: { emails: ["@b.c"] } } } }',
    'entry 1 of `emails` is not an e-mail address | For example alice@example.com. For everyone of a domain, use `domains: [example.com]`.',
  ],
  [
    '  a: { target: 1, access: { oidc: { issuer: "https://login.example.com", clientId: a, allow: { domains: ["*.b.c"] } } } }',
    'entry 1 of `domains` is not a domain | Write only the domain, for example example.com.',
  ],
  [
    '  a: { target: 1, access: { identities: [], oidc: { issuer: "https://login.example.com", clientId: a, allow: { domains: [b.c] } } } }',
    '`oidc` and `identities` cannot be used together | The provider returns visitors to the public address, which admits only `portal connect`. Remove one, or use two services.',
  ],
  [
    '  a: { target: 1, access: { basic: { alice: secret } } }',
    '`alice` is not the hash of a password | Run `portal hash`, put what it prints into a variable, in single quotes, and name the variable here.',
  ],
  [
    '  a: { target: 1, access: { basic: { alice: "$$2y$$15$$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" } } }',
    '`alice` is a hash that takes too long to verify: it has a cost of 15, and the limit is 14 | Make another hash with `portal hash`.',
  ],
  [
    '  a: { target: 1, access: { basic: { alice: "=19=65536,t=2,p=1" } } }',
    '`alice` is an incomplete hash | Shells and `.env` files replace what follows `$`: put the hash in single quotes there. In portal.yaml, write `$$` for each `$`.',
  ],
  [
    '  a: { target: 1, access: { basic: { "al ice": "$$2y$$05$$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" } } }',
    '"al ice" is not a user name: up to 64 letters, digits and any of . _ - @ + | Write names without variables, for example `alice: ${ALICE_HASH}`.',
  ],
  [
    '  a: { target: 1, access: { basic: {} } }',
    '`basic` is empty | For example `basic: { alice: "${ALICE_HASH:?set ALICE_HASH}" }`.',
  ],
  [
    '  a: { mode: tcp, target: 1, access: { basic: { alice: "$$2y$$05$$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" } } }',
    '`access.basic` needs mode auto, stream or http; this service runs mode tcp | This gate reads requests. `allowIps` works in every mode.',
  ],
  [
    '  a: { target: 1, access: { rateLimit: { perVisitor: 10 } } }',
    '`perVisitor` must be text | Write 10/s for 10 requests per second.',
  ],
  [
    '  a: { target: 1, access: { rateLimit: { perVisitor: 10 per s } } }',
    '"10 per s" is not a number of requests per second, minute or hour, such as 10/s, 600/m or 5000/h',
  ],
  [
    '  a: { mode: tcp, target: 1, access: { rateLimit: { perVisitor: 10/s } } }',
    '`access.rateLimit` needs mode auto, stream or http; this service runs mode tcp | This gate reads requests. `allowIps` works in every mode.',
  ],
  [
    '  a: { target: 1, access: { allowIps: 10.0.0.1 } }',
    '`allowIps` must be a list | Write `allowIps: [10.0.0.1]`.',
  ],
  [
    '  a: { target: 1, access: { allowIps: 10.0.0.0/99 } }',
    '`allowIps` must be a list | Write a list, for example `allowIps: [10.0.0.0/8]`. "10.0.0.0/99" is not an IP address or range: /99 is beyond /32.',
  ],
  ['  a: { target: 1, alpn: h2 }', '`alpn` must be a list | Write `alpn: [h2]`.'],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: ["X-A: b", Cookie] } } }',
    '`headers` must be a mapping | Write `headers: { X-A: … }`, without dashes or brackets.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: [{}] } } }',
    '`headers` must be a mapping | For example `headers: { X-Env: demo, Cookie: null }`.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: [{ X-A: b }] } } }',
    '`headers` must be a mapping | Write `headers: { X-A: … }`, without dashes or brackets.',
  ],
  [
    '  a: { mode: http, routes: { /: { target: 1, headers: ["b"] } } }',
    '`headers` must be a mapping | For example `headers: { X-Env: demo, Cookie: null }`.',
  ],
  // --- certificates, domains, protocols
  ['  a: { target: 1, tls: { cert: x } }', '`key` is missing: `cert` and `key` must be used together'],
  [
    '  a: { target: 1, tls: { source: acme, cert: x, key: y } }',
    '`source` cannot be used with `cert` and `key` | Use `source` for a certificate from Portal, or `cert` and `key` for your own.',
  ],
  ['  a: { target: 1, tls: nope }', '`tls` must be auto, local or acme'],
  [
    '  a: { target: 1, hostname: shop }',
    '"shop" is not a full domain name | Write it in full, for example shop.example.com. For a name on the relay, use `name`.',
  ],
  ['  a: { target: 1, hostname: "x y" }', '"x y" is not a hostname'],
  ['  a: { target: 1, alpn: [h2, h2] }', '`alpn` has the same entry twice: entries 1 and 2'],
  [
    '  a: { target: 1, alpn: [acme-tls/1] }',
    '`acme-tls/1` is only for certificate challenges, which Portal completes',
  ],
  ['  a: { target: 1, metadata: { build: 42 } }', '`build` must be text | Put the value in quotes.'],
  ['  a: { target: 1, expires: 2027-13-45T18:00:00Z }', 'this date or time does not exist'],
  [
    '  a: { target: 1, expires: soon }',
    '"soon" is not a time such as 30m, 8h or 7d, or a moment such as 2027-01-31T18:00:00Z',
  ],
  // --- syntax of other programs
  [
    '  a: "8080:80"',
    '"8080:80" names a port where a host belongs | Write 8080, only the port of this machine.',
  ],
  [
    '  a: $PORT',
    '"$PORT" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write ${PORT}, with braces.',
  ],
  [
    '  - a: 3000\n  - b: 3001',
    '`services` must be a mapping | Write the services as keys, without dashes: `a: 3000`.',
  ],
  ['  web:3000', '`services` must be a mapping | Add a space after the colon: `web: 3000`.'],
  [
    '  a: [3000, 3001]',
    'service "a" must be a port, `host:port`, `unix:/path`, `http(s)://host:port`, a folder, or a mapping | A service has one target. Write a service for each port, or one service with `routes`.',
  ],
  [
    '  a: { target: { host: localhost, port: 3000 } }',
    '`target` must be a port, `host:port`, `unix:/path`, `http(s)://host:port` or a folder | Write `target: localhost:3000`.',
  ],
  [
    '  a: { target: 1, hostname: "https://shop.example.com" }',
    '"https://shop.example.com" is not a hostname | Write only the hostname: shop.example.com.',
  ],
  [
    '  a: { target: 1, mode: https }',
    '`mode` must be auto, stream, http, tcp or udp | Omit `mode`: every service has an https:// URL.',
  ],
  [
    '  a: { target: 1, expires: 8 hours }',
    '"8 hours" is not a time such as 30m, 8h or 7d, or a moment such as 2027-01-31T18:00:00Z | Write 8h.',
  ],
  [
    '  a: { routes: { /api/*: 3000 } }',
    'the route "/api/*" has a wildcard | Write `/api`: a route covers every path below it.',
  ],
  [
    '  a: { target: 1, access: { pin: “1234” } }',
    'curly quotes are part of the value | Write straight quotes: " or \'.',
  ],
  [
    '  a: tcp://localhost:5432',
    '"tcp://localhost:5432" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write `{ target: localhost:5432, mode: tcp }`.',
  ],
  [
    '  a: localhost:3000/api',
    '"localhost:3000/api" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write localhost:3000. To publish one path, use `routes: { /api: localhost:3000 }`.',
  ],
  [
    '  - hostname: a.example.com\n    service: x',
    '`services` must be a mapping | Write the services as keys, without dashes: `web: 3000`.',
  ],
  [
    '  a: { target: 1, restart: always }',
    'unknown key "restart" in service "a" | Docker Compose has this key, and Portal does not. Remove it.',
  ],
  [
    '  a: { target: 1, remotePort: 6000 }',
    'unknown key "remotePort" in service "a" | Portal calls it `port`.',
  ],
  [
    '  a: { target: 1, name: "${branch}" }',
    'this folder is not in a git repository, so there is no branch | Give a default: ${branch:-main}.',
  ],
  ['  a: { ports: ["80:80"] }', 'unknown key "ports" in service "a" | Portal calls it `target`.'],
  ['  a: { addr: 3000 }', 'unknown key "addr" in service "a" | Portal calls it `target`.'],
  [
    '  a: { service: "http://localhost:3000" }',
    'unknown key "service" in service "a" | Portal calls it `target`.',
  ],
  [
    '  a: { target: 1, auth: "me:secret" }',
    'unknown key "auth" in service "a" | For user names and passwords, use `access.basic`. For one PIN, use `access.pin`.',
  ],
  [
    '  a: { target: 1, oauth: google }',
    'unknown key "oauth" in service "a" | Portal calls it `access.oidc`.',
  ],
  [
    '  a: { target: 1, region: eu }',
    'unknown key "region" in service "a" | Portal has no regions. Name a relay near you in `relays`.',
  ],
  [
    '  a: { target: 1, hostname: "*.example.com" }',
    '"*.example.com" is not a hostname | A service has one hostname. Name each, for example app.example.com.',
  ],
  [
    '  a: 53/udp',
    '"53/udp" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write `{ target: 53, mode: udp }`.',
  ],
  [
    '  a: { target: 1, schemes: [https] }',
    'unknown key "schemes" in service "a" | Remove it: every service has an https:// URL.',
  ],
  [
    '  a: ":3000"',
    '":3000" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public | Write 3000.',
  ],
])('%s', async (services, ...messages) => {
  const told = await said(services);
  expect(told).toContain(messages[0]);
});

it.each([
  [
    'relays: { urls: [http://a.example.com] }',
    '"http://a.example.com" is not the URL of a relay, such as https://relay.example.com:8443 | Write https://a.example.com.',
  ],
  [
    'relays: { urls: ["https://a.example.com/x"] }',
    '"https://a.example.com/x" is not the URL of a relay, such as https://relay.example.com:8443 | Write https://a.example.com.',
  ],
  ['relays: { urls: ["https://a.example.com:99999"] }', '"https://a.example.com:99999" is not a valid URL'],
  [
    'relays: { urls: ["https://u:p@a.example.com"] }',
    'a relay URL cannot contain a user name or password | Remove them: a relay knows you by your identity.',
  ],
  [
    'relays: { urls: [https://a.example.com, "https://A.example.com:443/"] }',
    'this relay is a duplicate of entry 1 of `urls` | Keep one of the two.',
  ],
  [
    'relays: [https://a.example.com]',
    '`relays` must be a mapping | Write `relays: { urls: [https://a.example.com] }`.',
  ],
  [
    'relays: { urls: [{ ca: x }] }',
    '`url` is missing in entry 1 of `urls` | Add it, for example `url: https://relay.example.com`.',
  ],
  [
    'relays: { urls: [true] }',
    'entry 1 of `urls` must be an https:// URL, or a mapping with `url` and `ca` | For example `https://relay.example.com`.',
  ],
  [
    'relays: { embedded: }',
    '`embedded` has no value; it takes a mapping | For example `embedded: { port: 8443 }`.',
  ],
  [
    'chains: { c: [https://a.example.com] }',
    'chain "c" needs at least 2 entries | For example `c: [https://entry.example.com, https://exit.example.com]`.',
  ],
  [
    'chains: { c: [https://a.example.com, https://a.example.com] }',
    'this relay is a duplicate of entry 1 of chain "c" | A chain uses each relay once.',
  ],
  [
    'chains: { c: [https://a.example.com, https://b.example.com, https://c.example.com, https://d.example.com] }',
    'a chain has at most 3 relays | Remove one: each relay adds delay, and in a chain of three the middle relay already knows neither end.',
  ],
  [
    'identity: ~/id.json',
    '`~` is not expanded to your home directory here | Write ${HOME} instead, or a path relative to this file.',
  ],
  [
    'acme: { directory: "https://ca.example.com:99999/dir" }',
    '"https://ca.example.com:99999/dir" is not a valid URL',
  ],
  ['acme: { directory: http://ca.example.com/dir }', '"http://ca.example.com/dir" is not an https:// URL'],
  ['acme: { email: nobody }', '"nobody" is not an e-mail address'],
  ['web: 3000', 'unknown key "web" | Indent it below `services:`.'],
  [
    'relay: https://a.example.com',
    'unknown key "relay" | Write `relays: { urls: [https://a.example.com] }`.',
  ],
  ['tunnels: {}', 'unknown key "tunnels" | Portal calls it `services`.'],
  ['mode: http', 'unknown key "mode" | `mode` belongs in a service.'],
])('%s', async (rest, message) => {
  expect(await said('  z: 3000', rest)).toContain(message);
});

it.each([
  ['  a: { target: 1, via: privte }', 'there is no chain "privte" | Did you mean `private`?'],
  ['  a: { target: 1, via: x }', 'there is no chain "x" | Chains of this file: private.'],
  [
    '  a: { target: 1, via: private, relays: [https://c.example.com] }',
    '`via` and `relays` cannot be used together | Publish the service over one chain, or on relays.',
  ],
  [
    '  a: { target: 1, via: private, carrier: ws }',
    'over a chain the carrier is tls | Remove `carrier`: relays on the path must not be able to read the bytes.',
  ],
  [
    '  a: { mode: tcp, target: 1, via: private, carrier: ws }',
    'over a chain the carrier is tls | Remove `carrier`: relays on the path must not be able to read the bytes.',
  ],
  [
    '  a: { target: 1, name: n, via: private }\n  b: { target: 1, name: n, relays: [https://a.example.com] }',
    'the same name as service "a" (line 4), on the same relay | Give one of them another `name`.',
  ],
])('%s', async (services, message) => {
  expect(await said(services, 'chains: { private: [https://a.example.com, https://b.example.com] }')).toEqual(
    [message],
  );
});

const on = (relays: string): string => `{ target: 1, name: n, relays: [${relays}] }`;

it('allows one name on two relays, and rejects it twice on one relay', async () => {
  expect(await said(`  a: ${on('https://a.example.com')}\n  b: ${on('https://b.example.com')}`)).toEqual([]);
  expect(
    await said(
      `  a: ${on('https://a.example.com')}\n  b: ${on('https://b.example.com, https://a.example.com:443')}`,
    ),
  ).toEqual(['the same name as service "a" (line 4), on the same relay | Give one of them another `name`.']);
});

it.each([
  ['team: ["0x371531b8ED16256DE8a3f97A99BA7206788143e0", "0x371531b8ed16256de8a3f97a99ba7206788143e1"]', []],
  ['machine: "a\\tb"', ['"a\\tb" is not a name for a machine: it has control characters']],
  ['machine: true', ['`machine` must be false | Write `machine: false`.']],
  [
    'team: ["0x371531B8ED16256DE8a3f97A99BA7206788143e0"]',
    [
      '"0x371531B8ED16256DE8a3f97A99BA7206788143e0" is not the address of an identity: its checksum is wrong | Copy it again. `portal identity` prints it on the machine of that identity.',
    ],
  ],
  [
    'team: ["0x371531b8ED16256DE8a3f97A99BA7206788143e0", "0x371531b8ed16256de8a3f97a99ba7206788143e0"]',
    ['this identity is already on line 2'],
  ],
  ['team: [bob]', ['"bob" is not `0x` and 40 hex digits']],
])('%s', async (rest, problems) => {
  expect(await said('  a: 1', rest)).toEqual(problems);
});

it('requires one CA for each relay', async () => {
  const rest = 'relays: { urls: [{ url: https://a.example.com, ca: one.pem }] }';
  expect(
    await said('  a: { target: 1, relays: [{ url: https://a.example.com, ca: two.pem }] }', rest),
  ).toEqual([
    'this relay has a different `ca` on line 2 | Use the same `ca` in both places, or set it only once.',
  ]);
});

it.each([
  ['version: "3.8"\nservices: {}', '`version` must be 1'],
  ['version: 1\nservices:\nweb: 3000', 'unknown key "web"'],
  ['web: 3000\napi: 3001', 'unknown key "web"'],
  ['serverAddr = "x"\n[[proxies]]', 'this is a configuration of frp, not of Portal'],
  ['version: 1\ntunnels: { web: 3000 }', 'unknown key "tunnels"'],
  ['version: 1\nservices:\n  web: { target: ${PORT}, name: x }', 'unexpected `{`'],
  ['version: 1\nservices:\n  web: "3000\n  api: 3001', 'this quote is not closed'],
  [
    'version: 1\ntunnels: { web: { proto: http, addr: 80 } }',
    'this is a configuration of ngrok, not of Portal',
  ],
  ['version: 3\nendpoints: [{ name: web }]', 'this is a configuration of ngrok, not of Portal'],
  ['tunnel: abc\ningress: []', 'this is a configuration of cloudflared, not of Portal'],
  ['serverAddr: x\nproxies: []', 'this is a configuration of frp, not of Portal'],
  ['services: { web: { image: nginx } }', 'this is a configuration of Docker Compose, not of Portal'],
  ['', 'the file is empty'],
  ['# nothing', 'the file is empty'],
  ['- a', 'the file is not a mapping'],
  ['services: { web: 3000 }', '`version` is missing'],
  ['version: 2\nservices: {}', '`version` must be 1'],
  ['version: 1\nservices:', '`services` has no value; it takes a mapping'],
])('%j', async (text, message) => {
  expect((await problemsOf(text)).map((problem) => problem.message)).toEqual([message]);
});

it.each([
  ['version: "3"\nservices: {}', 'Write `version: 1`.'],
  ['services: { web: 3000 }', 'Add this line at the top of the file: `version: 1`'],
  ['web: 3000', 'Write `version: 1`, then `services:`, and indent this below it.'],
  ['version: 1\nservices:\nweb: 3000', 'Indent it below `services:`.'],
  ['', 'Begin the file with `version: 1`, or run `portal init` to create one.'],
  ['version: 1', 'Add it, for example `services: { web: 3000 }`.'],
  // `portal init` would lose what such a file contains.
  ['# my services', 'Begin the file with `version: 1`.'],
  ['- a', 'Begin the file with `version: 1`.'],
])('the hint for %j says what to write', async (text, hint) => {
  expect((await problemsOf(text)).map((problem) => problem.hint)).toEqual([hint]);
});

async function problemsOf(text: string): Promise<readonly Problem[]> {
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => text });
  return result.ok ? [] : result.problems;
}

it.each(['addr', 'address', 'url', 'upstream', 'backend', 'service'])(
  'reports one mistake for `%s`, which is the target under another name',
  async (key) => {
    expect(await said(`  a: { ${key}: 3000 }`)).toEqual([
      `unknown key ${JSON.stringify(key)} in service "a" | Portal calls it \`target\`.`,
    ]);
  },
);
