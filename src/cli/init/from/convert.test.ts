import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../../config/load.js';
import { temporaryFolder } from '../../../../test/support/folder.js';
import { PasswordWorker } from '../../../lib/passwords/worker.js';
import { convert, draftText, makeValid } from './convert.js';
import { readForeign } from './read.js';

/** Converts the text of a file, and checks that `portal up` accepts the result. */
async function converted(
  name: string,
  text: string,
): Promise<{ services: object; notes: readonly string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-from-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, name), text);
  const { program, fields } = await readForeign(folder, name);
  const draft = convert(program, fields);
  await makeValid(draft);
  const yaml = draftText(draft, { program, file: name, schema: './portal.schema.json' });
  const loaded = await loadConfig({ file: '-', cwd: folder, env: {}, stdin: async () => yaml });
  expect(loaded.ok ? [] : loaded.problems).toEqual([]);
  return { services: Object.fromEntries(draft.services), notes: draft.notes };
}

it('converts tunnels of ngrok, versions 2 and 3', async () => {
  const text = `
version: "2"
authtoken: secret
tunnels:
  web: { proto: http, addr: 3000, subdomain: shop, host_header: rewrite, inspect: true }
  api: { addr: "http://localhost:8080", domain: api.example.com, auth: "user:pass" }
  ssh: { proto: tcp, addr: 22, remote_addr: "1.tcp.ngrok.io:20001" }
  db: { proto: tls, addr: "10.0.0.7:5433", ip_restriction: { allow_cidrs: [10.0.0.0/8] } }
  app: { addr: 4000, domain: calm-cat.ngrok-free.app }
  odd: { addr: "file:///srv" }
`;
  expect(await converted('ngrok.yml', text)).toEqual({
    services: {
      web: { target: 3000, name: 'shop', host: 'target', inspect: true },
      api: { target: 8080 },
      ssh: { mode: 'tcp', target: 22 },
      db: { mode: 'stream', target: '10.0.0.7:5433', access: { allowIps: ['10.0.0.0/8'] } },
      app: { target: 4000, name: 'calm-cat' },
    },
    notes: [
      'api: for api.example.com, write `hostname: api.example.com`. `portal doctor` prints the DNS records to create.',
      'api: `auth` was dropped: everyone can visit until you set `access.basic` with hashes from `portal hash`.',
      'ssh: the relay chooses the public port, in place of 1.tcp.ngrok.io:20001.',
      'app: calm-cat.ngrok-free.app became the name calm-cat on your relay.',
      'odd: the target "file:///srv" was not converted: "file:///srv" is not a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public.',
      'The authtoken is not needed: Portal has no accounts.',
    ],
  });
});

it('converts endpoints of ngrok', async () => {
  const text = `
version: 3
agent: { authtoken: secret }
endpoints:
  - { name: web, url: "https://calm-cat.ngrok.app", upstream: { url: 3000 } }
  - { url: "tcp://", upstream: { url: "tcp://localhost:22" }, traffic_policy: {} }
`;
  expect(await converted('ngrok.yml', text)).toEqual({
    services: { web: { target: 3000, name: 'calm-cat' }, 'service-2': { mode: 'tcp', target: 22 } },
    notes: [
      'web: calm-cat.ngrok.app became the name calm-cat on your relay.',
      'service-2: `traffic_policy` was dropped: everyone can visit until you set `access`.',
      'The authtoken is not needed: Portal has no accounts.',
    ],
  });
});

it('names every key of ngrok that it does not convert', async () => {
  const text = `
version: 3
tunnels:
  web: { addr: 3000, schemes: [https], request_header: { add: ["X-Env: dev"] }, compression: true }
  app: { proto: tls, addr: 8443, crt: ./cert.pem, key: ./key.pem }
endpoints:
  - { name: db, url: "tcp://1.tcp.ngrok.io:12345", upstream: { url: "tcp://localhost:5432", proxy_protocol: 2 } }
`;
  expect((await converted('ngrok.yml', text)).notes).toEqual([
    'web: `request_header` was not converted: write `routes` with `headers`.',
    'web: `compression` has no counterpart and was not converted.',
    'app: `crt` was not converted: write `tls: { cert, key }`.',
    'app: `key` was not converted: write `tls: { cert, key }`.',
    'db: the relay chooses the public port, in place of 1.tcp.ngrok.io:12345.',
    'db: `proxy_protocol` was not converted: write `proxyProtocol: v2`.',
  ]);
});

it('converts ingress rules of cloudflared', async () => {
  const text = `
tunnel: abc
credentials-file: /root/.cloudflared/abc.json
ingress:
  - { hostname: app.example.com, path: /api, service: "http://localhost:3001" }
  - { hostname: app.example.com, service: "http://localhost:3000" }
  - { hostname: admin.example.com, service: "https://localhost:8443", originRequest: { noTLSVerify: true, httpHostHeader: admin.internal } }
  - { hostname: ssh.example.com, service: "ssh://localhost" }
  - { hostname: re.example.com, path: '\\.(jpg|png)$', service: "http://localhost:3002" }
  - { hostname: hi.example.com, service: hello_world }
  - { service: "http_status:404" }
`;
  const { services, notes } = await converted('config.yml', text);
  expect(services).toEqual({
    app: { routes: { '/api': { target: 3001, stripPrefix: false }, '/': 3000 } },
    admin: {
      target: 'https://localhost:8443',
      targetTls: { insecureSkipVerify: true },
      host: 'admin.internal',
      name: 'admin-app',
    },
    ssh: { mode: 'tcp', target: 22 },
  });
  expect(notes).toContain(
    're: the path "\\\\.(jpg|png)$" was not converted: it is a pattern, and routes of Portal are prefixes.',
  );
  expect(notes).toContain('hi.example.com: `service: hello_world` has no counterpart and was not converted.');
});

it('converts the host of each path of cloudflared, and names TLS settings that differ', async () => {
  const text = `
ingress:
  - { hostname: app.example.com, path: /up, service: "http://localhost:3003" }
  - { hostname: app.example.com, path: ^/api/.*, service: "https://localhost:3001", originRequest: { noTLSVerify: true } }
  - { hostname: app.example.com, path: /ws, service: "https://localhost:3002", originRequest: { caPool: /ca.pem } }
  - { hostname: app.example.com, service: "http://localhost:3000", originRequest: { httpHostHeader: app.internal, http2Origin: true } }
`;
  const { services, notes } = await converted('config.yml', text);
  expect(services).toEqual({
    app: {
      targetTls: { insecureSkipVerify: true },
      routes: {
        '/up': { target: 3003, stripPrefix: false },
        '/api': { target: 'https://localhost:3001', stripPrefix: false },
        '/ws': { target: 'https://localhost:3002', stripPrefix: false },
        '/': { target: 3000, host: 'app.internal' },
      },
    },
  });
  expect(notes.slice(1)).toEqual([
    'app: the pattern "^/api/.*" became the prefix /api.',
    'app: not converted for the route /ws: `noTLSVerify`, `caPool`. All routes of a service share `targetTls`.',
    'app: `http2Origin` has no counterpart and was not converted.',
  ]);
});

it('names TLS settings of cloudflared that have no effect', async () => {
  const text = `
ingress:
  - { hostname: app.example.com, path: /v1/.*, service: "http://localhost:3001", originRequest: { noTLSVerify: true } }
  - { service: "http_status:404" }
`;
  expect((await converted('config.yml', text)).notes.slice(0, 2)).toEqual([
    'app: the pattern "/v1/.*" became the prefix /v1.',
    'app: `noTLSVerify` was dropped, because the target has no https.',
  ]);
});

it('warns that a service of frp loses its password, and names its domains once', async () => {
  const text = `
[[proxies]]
name = "web"
type = "http"
localPort = 80
httpUser = "bob"
httpPassword = "hunter2"
customDomains = ["a.example.com", "b.example.com"]
`;
  expect((await converted('frpc.toml', text)).notes).toEqual([
    'web: a service has one hostname. For a.example.com, b.example.com, write a service for each, with its own `hostname`. `portal doctor` prints the DNS records to create.',
    'web: `httpUser`, `httpPassword` were dropped: everyone can visit until you set `access.basic` with hashes from `portal hash`.',
  ]);
});

it('converts the published ports of Docker Compose', async () => {
  const text = `
services:
  web:
    image: nginx
    ports: ["8080:80"]
  db:
    image: postgres
    ports: ["0.0.0.0:5433:5432/tcp"]
  debugged:
    image: node
    ports: ["127.0.0.1:8000:8000", { target: 81, published: 81, host_ip: "::1" }]
  game:
    image: game
    ports: ["25565:25565", "19132:19132/udp", "9000-9020:9000-9020", "3000"]
  long:
    build: .
    ports: [{ target: 80, published: "8081", protocol: tcp }]
  worker: { image: worker }
`;
  expect(await converted('compose.yaml', text)).toEqual({
    services: {
      web: { target: 8080 },
      'game-25565': { mode: 'tcp', target: 25565 },
      'game-19132': { mode: 'udp', target: 19132 },
      long: { target: 8081 },
    },
    notes: [
      'db: the port 5433 was not converted: a database, cache, queue or debugger listens there. To publish it anyway, write `db: { mode: tcp, target: 5433 }`.',
      'debugged: the port 8000 was not converted: Compose publishes it on this machine only. To publish it anyway, write `debugged: 8000`.',
      'debugged: the port 81 was not converted: Compose publishes it on this machine only. To publish it anyway, write `debugged: 81`.',
      'game: the port 9000-9020:9000-9020 was not converted: it is a range of more than 20 ports, or of ports that Docker chooses. Write a service for each port.',
      'game: the port 3000 was not converted: Docker chooses its port on this machine. Publish a fixed one, such as "8080:80".',
      'worker: it publishes no port on this machine, so it has no service here.',
    ],
  });
});

it('names a service of Docker Compose after its container, unless it has several ports here', async () => {
  const text = `
services:
  web: { image: a, ports: ["8080:80", "[::]:8080:80", "127.0.0.1:9229:9229", "3000"] }
  site: { image: b, ports: ["81:80", "444:443"] }
`;
  const { services } = await converted('compose.yaml', text);
  expect(services).toEqual({
    web: { target: 8080 },
    'site-80': { target: 81 },
    'site-443': { target: 'https://localhost:444' },
  });
});

it('converts a short range of ports of Docker Compose to a service each', async () => {
  const text = `
services:
  sfu: { image: sfu, ports: ["40000-40001:50000-50001/udp"] }
  many: { image: many, ports: ["7000-7019:7000-7019", "127.0.0.1:6000-6001:6000-6001"] }
  odd: { image: odd, ports: ["8000-8009:80", "9009-9000:9009-9000"] }
`;
  const { services, notes } = await converted('compose.yaml', text);
  expect(services).toMatchObject({
    'sfu-50000': { mode: 'udp', target: 40000 },
    'sfu-50001': { mode: 'udp', target: 40001 },
    'many-7000': { target: 7000 },
    'many-7019': { target: 7019 },
  });
  expect(Object.keys(services)).toHaveLength(22);
  expect(notes.map((note) => note.split(' was not')[0])).toEqual(
    [
      'many: the port 6000',
      'many: the port 6001',
      'odd: the port 8000-8009:80',
      'odd: the port 9009-9000:9009-9000',
    ].map((note) => expect.stringContaining(note) as string),
  );
});

it('converts the proxies of frp', async () => {
  const text = `
serverAddr = "203.0.113.7"
serverPort = 7000

[[proxies]]
name = "web"
type = "http"
localPort = 8080
subdomain = "shop"
customDomains = ["shop.example.com"]

[[proxies]]
name = "ssh"
type = "tcp"
localIP = "192.168.1.7"
localPort = 22
remotePort = 6000

[[proxies]]
name = "secure"
type = "https"
localPort = 8443

[[proxies]]
name = "secret"
type = "stcp"
localPort = 22
`;
  expect(await converted('frpc.toml', text)).toEqual({
    services: {
      web: { target: 8080, name: 'shop' },
      ssh: { mode: 'tcp', target: '192.168.1.7:22', port: 6000 },
      secure: { target: 'https://localhost:8443' },
    },
    notes: [
      'web: for shop.example.com, write `hostname: shop.example.com`. `portal doctor` prints the DNS records to create.',
      "secure: Portal checks the target's certificate against the system's CAs. For another CA, write `targetTls`.",
      'secret: the type stcp has no counterpart and was not converted.',
      'Portal does not connect to frps at 203.0.113.7. Run `portal relay` there, and name it in `relays`.',
    ],
  });
});

it.each([
  ['portal.yaml', 'version: 1\nservices: { web: 3000 }', /is not a configuration of ngrok/],
  ['broken.yaml', 'a: [', /cannot be read/],
  ['frpc.toml', 'a = ', /is not valid TOML, at line 1/],
  ['frpc.ini', '[common]\nserver_addr = x', /is in the INI format of old frp versions/],
  ['list.yaml', '- a', /is not a configuration of ngrok/],
])('rejects %s', async (name, text, message) => {
  await expect(converted(name, text)).rejects.toThrow(message);
});

it('rejects a directory and a missing file by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portal-from-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await expect(readForeign(folder, '.')).rejects.toMatchObject({
    message: '. is a folder',
    hint: 'Name the file in this folder.',
  });
  await expect(readForeign(folder, 'ngrok.yml')).rejects.toMatchObject({
    message: 'ngrok.yml does not exist',
    hint: 'Check the path after --from.',
  });
});

it('gives a service another name if relays reserve its own', async () => {
  const text = 'services: { dns: { image: a, ports: ["53:53/udp"] }, web: { image: b, ports: ["8080:80"] } }';
  expect(await converted('compose.yaml', text)).toEqual({
    services: { dns: { mode: 'udp', target: 53, name: 'dns-app' }, web: { target: 8080 } },
    notes: ['dns: relays reserve the name dns, so the service is named dns-app.'],
  });
});

it('gives each service a unique name', async () => {
  const text = 'proxies: [{ name: My App, localPort: 80 }, { name: my-app, localPort: 81 }]';
  expect(Object.keys((await converted('frpc.yaml', text)).services)).toEqual(['my-app', 'my-app-2']);
});

it('names every setting that it did not convert, and shows no value of them', async () => {
  const files = [
    [
      'ngrok.yml',
      `
version: 3
agent: { authtoken: hunter2, proxy_url: "http://u:hunter2@p:1" }
tunnels:
  web:
    proto: http
    addr: 3000
    basic_auth: ["bob:hunter2"]
    oauth: { provider: google, client_secret: hunter2 }
    verify_webhook: { provider: stripe, secret: hunter2 }
    request_header: { add: ["x-key: hunter2"] }
    ip_restriction: { allow_cidrs: [10.1.2.3/8], deny_cidrs: [10.9.0.0/16] }
  wild: { proto: http, addr: 3001, hostname: "*.example.com" }
  odd: { proto: http, addr: 3002, host_header: "a b" }
endpoints: [{ name: inner, url: "https://api.internal", upstream: { url: 3003, proxy_protocol: 2 } }]
`,
      [
        'web: `deny_cidrs` was dropped: more people can visit until you set `access.allowIps`.',
        'web: `basic_auth`, `oauth`, `verify_webhook` were dropped: more people can visit until you set `access.oidc` or `access.basic` with hashes from `portal hash` and `access.webhook`.',
        'web: `request_header` was not converted: write `routes` with `headers`.',
        'wild: *.example.com is a wildcard. Write a service with its own `hostname` for each name below it.',
        'inner: api.internal is not a public name, so it was not converted.',
        'inner: `proxy_protocol` was not converted: write `proxyProtocol: v2`.',
        'Settings of ngrok itself were not converted: `proxy_url`.',
      ],
    ],
    [
      'config.yml',
      `
tunnel: abc
credentials-file: x.json
loglevel: debug
ingress:
  - hostname: app.example.com
    service: https://localhost:8443
    originRequest: { originServerName: app.internal, caPool: /etc/ca.pem, access: { required: true }, http2Origin: true }
  - { hostname: old.example.com, service: "http_status:410" }
  - { service: "http://localhost:8080" }
`,
      [
        'app: `access` was dropped: everyone can visit until you set `access.oidc`.',
        'app: `http2Origin` has no counterpart and was not converted.',
        'old.example.com: `service: http_status:410` has no counterpart and was not converted.',
        'web: it served every other hostname. Here it has a name of its own.',
        'Settings of cloudflared itself were not converted: `loglevel`.',
      ],
    ],
    [
      'frpc.toml',
      `
serverAddr = "x.example.com"
auth.token = "hunter2"
[[proxies]]
name = "sock"
type = "tcp"
plugin = { type = "unix_domain_socket", unixPath = "/run/app.sock" }
[[proxies]]
name = "proxy"
type = "tcp"
plugin = { type = "http_proxy", httpPassword = "hunter2" }
[[proxies]]
name = "web"
type = "http"
localPort = 80
locations = ["/", "/api"]
requestHeaders.set.x-key = "hunter2"
healthCheck = { type = "http", path = "/up" }
`,
      [
        'proxy: the plugin http_proxy has no counterpart and was not converted.',
        'web: `requestHeaders` was not converted: write `routes` with `headers`.',
        'Settings of frp itself were not converted: `auth`.',
      ],
    ],
    [
      'compose.yaml',
      `
include: [other.yaml]
services:
  web: { image: x, ports: ["\${WEB_PORT:-8080}:80", "443:443"], environment: { KEY: hunter2 } }
  api: { image: x, ports: ["\${PORT}:3000", "0.0.0.0:3001:3000", "[::]:3001:3000"], profiles: [debug] }
  host: { image: x, network_mode: host }
  base: { extends: { file: a.yml, service: b }, image: x }
`,
      [
        'api: the port ${PORT}:3000 was not converted: set the variable, and write `target: ${PORT}`.',
        'api: it runs only with a profile of Compose: debug.',
        'host: it uses the network of this machine. Write its port as a service.',
        'base: ports that it inherits with `extends` were not converted.',
        'Services of files in `include` were not converted.',
      ],
    ],
  ] as const;
  const results = [];
  for (const [name, text, notes] of files) {
    const result = await converted(name, text);
    expect(result.notes).toEqual(expect.arrayContaining([...notes]));
    expect(JSON.stringify(result)).not.toContain('hunter2');
    results.push(result.services);
  }
  expect(results).toMatchObject([
    { web: { access: { allowIps: ['10.0.0.0/8'] } }, wild: { target: 3001 } },
    { app: { targetTls: { ca: '/etc/ca.pem', serverName: 'app.internal' } }, web: { target: 8080 } },
    {
      sock: { target: 'unix:/run/app.sock' },
      web: { routes: { '/': 80, '/api': { target: 80, stripPrefix: false } }, health: '/up' },
    },
    {
      'web-80': { target: '${WEB_PORT:-8080}' },
      'web-443': { target: 'https://localhost:443' },
      api: { target: 3001 },
    },
  ]);
});

it('converts a tunnel of cloudflared that has one URL', async () => {
  const text = 'url: http://localhost:8000\ntunnel: abc\ncredentials-file: x.json\n';
  expect((await converted('config.yml', text)).services).toEqual({ web: { target: 8000 } });
});

it('does not publish a service whose list of addresses is invalid', async () => {
  const text =
    'tunnels: { a: { proto: http, addr: 1, ip_restriction: { allow_cidrs: [x] } }, b: { proto: http, addr: 2 } }';
  const { services, notes } = await converted('ngrok.yml', text);
  expect(services).toEqual({ b: { target: 2 } });
  expect(notes).toContain('a: it was not converted, because its list of addresses has an invalid range.');
});

it('writes the gates to fill in as comments that become valid', async () => {
  const guards = [
    'oauth: { provider: google, allow_emails: [ana@corp.dev], allow_domains: [corp.dev] }',
    'auth: "bo.b:pass"',
    'traffic_policy: { inbound: [{ name: "https://corp.dev" }] }',
  ];
  const limited =
    'ip_restriction: { allow_cidrs: [10.0.0.0/8], deny_cidrs: [10.1.0.0/16] }, verify_webhook: { secret: x }';
  const text = [
    'version: "2"',
    'tunnels:',
    ...[...guards, limited].map((guard, i) => `  s${i}: { addr: 3000, ${guard} }`),
  ];
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'ngrok.yml'), text.join('\n'));
  const { program, fields } = await readForeign(folder, 'ngrok.yml');
  const draft = convert(program, fields);
  const yaml = draftText(draft, { program, file: 'ngrok.yml', schema: './portal.schema.json' });
  expect(yaml).toContain('allow: { emails: [ana@corp.dev], domains: [corp.dev] }');
  expect(yaml).not.toContain('pass');
  const filledIn = yaml.replace(/^( +)# /gm, '$1');
  const env = {
    OIDC_SECRET: 'x'.repeat(32),
    WEBHOOK_SECRET: 'x'.repeat(32),
    BO_B_HASH: await new PasswordWorker().hash('a password', 'bcrypt'),
  };
  const loaded = await loadConfig({ file: '-', cwd: folder, env, stdin: async () => filledIn });
  expect(
    loaded.ok ? loaded.desired.services.map(({ access }) => Object.keys(access).toSorted()) : loaded.problems,
  ).toEqual([['oidc'], ['basic'], ['oidc'], ['allowIps', 'webhook']]);
});
