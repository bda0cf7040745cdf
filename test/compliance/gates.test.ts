import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import {
  ASKING_KINDS,
  GATE_FIELDS,
  GATE_KINDS,
  OIDC_PATHS,
  type GateKey,
} from '../../src/agent/access/kinds.js';
import type { AccessSpec } from '../../src/agent/spec.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  Jar,
  oidcProvider,
  throughProvider,
  type TestProvider,
} from '../support/oidc-provider.js';
import {
  HOST,
  TRANSPORTS,
  siteOf,
  type Outcome,
  type Site,
  type Transport,
  type Visitor,
  type Way,
} from './gate-site.js';

/** What every gate promises, over each kind of request. A new kind needs a case here. */

interface GateCase {
  /** If there is more than one way to pass. */
  readonly by?: string;
  readonly access: AccessSpec | (() => Promise<AccessSpec>);
  /** A visitor that may pass. Called for each visit. */
  readonly passing: (site: Site) => Visitor | Promise<Visitor>;
  /** A visitor that may not. */
  readonly refused: (site: Site) => Visitor | Promise<Visitor>;
  /** The status of Portal's response, as in docs/guides/access.md. */
  readonly status: number;
  /** Browsers send a preflight without cookies and without the site's header fields. */
  readonly preflight: 'served' | number;
  /** Visitors pass only over `portal connect`, in mode stream. Others get the page. */
  readonly isPrivate?: true;
  /** What neither the service nor a relay may see. */
  readonly secrets: readonly string[];
  /** Not in a relay's messages, although others may know it. */
  readonly settings?: readonly string[];
}

const FRIEND = '127.0.0.2';
const STRANGER = '127.0.0.3';
const PIN = '2580-1379-correct-horse';
const SECRET = 'a long enough secret of webhooks';

/** A cheap hash of `horse`. */
const ALICE = '$2a$04$1EALQ.2zezwhbRUjcSLwy.7wK7fWQ/PVdQtsRsnQKo2KDJHySuksK';
const basic = (password: string): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`,
});

let addresses = 0;
/** An address of its own, of a network of its own. */
const newAddress = (): string => `127.1.${++addresses}.1`;

const signed = { 'X-Hub-Signature-256': `sha256=${createHmac('sha256', SECRET).update('').digest('hex')}` };

async function cookieOf(site: Site, path: string, form: Record<string, string>): Promise<string> {
  const body = new URLSearchParams(form).toString();
  const response = await site.send({ from: FRIEND }, { method: 'POST', path }, body);
  return response.headers['set-cookie']![0]!.split(';', 1)[0]!;
}

/** The site's redirect URI, registered at a new provider with two accounts. */
async function withProvider(): Promise<AccessSpec> {
  provider = await oidcProvider();
  provider.register(`https://${HOST}${OIDC_PATHS.callback}`);
  for (const name of ['alice', 'mallory'])
    provider.claims.set(name, { email: `${name}@team.example`, email_verified: true });
  const allow = { emails: ['alice@team.example'] };
  return { oidc: { issuer: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, allow } };
}
let provider: TestProvider;

/** Signs in at the provider. Returns the site's cookies, of which some are valid only for an admitted account. */
async function signedIn(site: Site, account: string): Promise<{ Cookie: string }> {
  provider.account = account;
  const [jar, jarOfProvider] = [new Jar(), new Jar()];
  const open = async (path: string): Promise<IncomingMessage> => {
    const headers = { Accept: 'text/html', Cookie: jar.cookies };
    const response = await site.send({ from: FRIEND }, { path, headers });
    jar.keep(response.headers['set-cookie']);
    return response;
  };
  const { headers } = await open('/');
  const callback = await throughProvider(headers.location!, `https://${HOST}`, jarOfProvider);
  const { statusCode } = await open(callback);
  expect(statusCode).toBe(account === 'alice' ? 303 : 403);
  return { Cookie: jar.cookies };
}

/** The cookie of a visitor who has opened a new share link. */
async function withLink(site: Site, path: string): Promise<{ Cookie: string }> {
  const { headers } = await site.send({ from: FRIEND }, { path: await site.share(path) });
  return { Cookie: `theme=dark; ${headers['set-cookie']![0]!.split(';', 1)[0]!}` };
}

async function openInvalidLink(site: Site): Promise<void> {
  const { statusCode } = await site.send({ from: FRIEND }, { path: `${await site.share('/')}x` });
  expect(statusCode).toBe(403);
}

const SHARED = {
  by: 'a share link',
  passing: async (site) => ({ from: FRIEND, headers: await withLink(site, '/') }),
  refused: async (site) => {
    await openInvalidLink(site);
    return { from: FRIEND, headers: await withLink(site, '/other') };
  },
  status: 401,
  preflight: 401,
  secrets: ['__Secure-portal-share', 'portal-share'],
} satisfies Partial<GateCase>;

const CASES: Readonly<Record<GateKey, readonly GateCase[]>> = {
  allowIps: [
    {
      access: { allowIps: [FRIEND, '2001:db8:77::/48'] },
      passing: () => ({ from: FRIEND }),
      refused: () => ({
        from: STRANGER,
        headers: { 'X-Forwarded-For': FRIEND, 'X-Real-IP': FRIEND, Forwarded: `for=${FRIEND}` },
      }),
      status: 403,
      preflight: 'served',
      secrets: [],
      settings: ['2001:db8:77'],
    },
  ],
  identities: [
    {
      access: { identities: [] },
      isPrivate: true,
      passing: () => ({ from: FRIEND }),
      refused: () => ({ from: STRANGER }),
      status: 403,
      preflight: 403,
      secrets: [],
    },
  ],
  rateLimit: [
    {
      access: { rateLimit: { requests: 1, per: 'h', burst: 1 } },
      passing: () => ({ from: newAddress() }),
      refused: async (site) => {
        const visitor = { from: newAddress() };
        await site.visit('HTTP/1.1', visitor);
        site.received();
        return visitor;
      },
      status: 429,
      preflight: 'served',
      secrets: [],
    },
  ],
  pin: [
    {
      by: 'a header',
      access: { pin: PIN },
      passing: () => ({ from: FRIEND, headers: { 'Portal-Pin': PIN } }),
      refused: () => ({ from: newAddress(), headers: { 'Portal-Pin': 'wrong' } }),
      status: 401,
      preflight: 401,
      secrets: [PIN],
    },
    {
      by: 'a cookie',
      access: { pin: PIN },
      passing: async (site) => {
        const cookie = await cookieOf(site, '/__portal/pin', { pin: PIN, to: '/' });
        return { from: FRIEND, headers: { Cookie: `theme=dark; ${cookie}` } };
      },
      refused: () => ({
        from: newAddress(),
        headers: { Cookie: '__Host-portal=9999999999.wrong', 'Portal-Pin': 'wrong' },
      }),
      status: 401,
      preflight: 401,
      secrets: [PIN, '__Host-portal'],
    },
    { ...SHARED, access: { pin: PIN } },
  ],
  basic: [
    {
      access: { basic: { alice: ALICE } },
      passing: () => ({ from: FRIEND, headers: basic('horse') }),
      refused: () => ({ from: newAddress(), headers: { ...basic('wrong'), 'X-Portal-User': 'alice' } }),
      status: 401,
      preflight: 401,
      secrets: [basic('horse').Authorization, ALICE],
    },
    { ...SHARED, access: { basic: { alice: ALICE }, sharing: true } },
  ],
  oidc: [
    {
      access: withProvider,
      passing: async (site) => ({ from: FRIEND, headers: await signedIn(site, 'alice') }),
      refused: async (site) => ({
        from: FRIEND,
        headers: { ...(await signedIn(site, 'mallory')), 'X-Portal-User': 'alice' },
      }),
      status: 401,
      preflight: 401,
      secrets: [CLIENT_SECRET, '__Host-portal'],
      settings: ['team.example'],
    },
    { ...SHARED, access: async () => ({ ...(await withProvider()), sharing: true }) },
  ],
  webhook: [
    {
      access: { webhook: { provider: 'github', secret: SECRET } },
      passing: () => ({ from: FRIEND, headers: signed }),
      refused: () => ({ from: STRANGER, headers: { 'X-Hub-Signature-256': 'sha256=00' } }),
      status: 403,
      preflight: 403,
      secrets: [SECRET],
    },
  ],
};

const WAYS: readonly Way[] = [
  { name: 'mode stream', mode: 'stream', relays: 1 },
  { name: 'mode http', mode: 'http', relays: 1 },
  { name: 'mode http over a chain of two relays', mode: 'http', relays: 2 },
];

const PRIVATE_WAYS: readonly Way[] = [
  { name: 'mode stream', mode: 'stream', relays: 1 },
  { name: 'mode http', mode: 'http', relays: 1 },
  { name: 'mode stream over a chain of two relays', mode: 'stream', relays: 2 },
];

const ALL = GATE_KINDS.flatMap(({ key, reason }) => CASES[key].map((of) => ({ key, reason, ...of })));

/** Each kind of visit, one after another. */
async function eachVisit(
  site: Site,
  as: (site: Site) => Visitor | Promise<Visitor>,
  after: (transport: Transport) => void,
): Promise<Record<Transport, Outcome>> {
  const outcomes: Partial<Record<Transport, Outcome>> = {};
  for (const transport of TRANSPORTS) {
    const { from, headers } = await as(site);
    const isBare = transport === 'CORS preflight';
    outcomes[transport] = await site.visit(transport, { from, ...(!isBare && headers && { headers }) });
    after(transport);
  }
  return outcomes as Record<Transport, Outcome>;
}

const everywhere = (outcome: Outcome): Record<Transport, Outcome> => ({
  'HTTP/1.1': outcome,
  'HTTP/2': outcome,
  WebSocket: outcome,
  'CORS preflight': outcome,
});

it('has a case for every kind of gate, and for share links at each that they pass', () => {
  expect(Object.keys(CASES).toSorted()).toEqual(GATE_KINDS.map(({ key }) => key).toSorted());
  const shared = GATE_KINDS.filter(({ key }) => CASES[key].some(({ by }) => by === SHARED.by));
  expect(shared).toEqual(ASKING_KINDS);
});

async function serves(site: Site, { passing, secrets, preflight }: GateCase): Promise<void> {
  const served = await eachVisit(site, passing, () => {
    const received = site.received().toLowerCase();
    for (const text of [...secrets, ...GATE_FIELDS]) expect(received).not.toContain(text.toLowerCase());
  });
  expect(served).toEqual({ ...everywhere('served'), 'CORS preflight': preflight });
}

async function servesPrivately(site: Site): Promise<void> {
  expect(await site.connect()).toBe('served');
  site.received();
}

describe.each(ALL)('$key $by', (gate) => {
  it.each(gate.isPrivate ? PRIVATE_WAYS : WAYS)(
    'keeps its promises in $name',
    { timeout: 30_000 },
    async (way) => {
      const access = typeof gate.access === 'function' ? await gate.access() : gate.access;
      const site = await siteOf(access, way);

      await (gate.isPrivate ? servesPrivately(site) : serves(site, gate));

      const refused = await eachVisit(site, gate.refused, () => expect(site.received()).toBe(''));
      const bare = gate.preflight === 'served' ? gate.status : gate.preflight;
      expect(refused).toEqual({ ...everywhere(gate.status), 'CORS preflight': bare });

      await site.listsRejected(gate);
      const [lease] = (await site.one.runner.status()).leases;
      expect(lease!.refused?.[gate.reason]).toBeGreaterThanOrEqual(3);
      expect(Object.keys(lease!.gates!)).toEqual([gate.reason]);
      for (const secret of gate.secrets) expect(JSON.stringify(lease)).not.toContain(secret);

      const { bytes, messages } = site.seenByRelays();
      // Both are recorded: the name is public, and so are the messages that open the lease.
      expect(bytes.includes('app.localhost')).toBe(true);
      expect(messages).toContain('lease.open');
      for (const text of [...gate.secrets, ...(gate.settings ?? []), '/visit']) {
        expect(bytes.includes(text)).toBe(false);
        expect(messages).not.toContain(text);
      }
      expect(messages).not.toContain(`"${gate.key}"`);
    },
  );
});

type Fields = Readonly<Record<string, string>>;

/** What pages of other sites send with the visitor's cookie or password, as browsers name their origin. */
const FOREIGN: readonly Fields[] = [
  { 'Sec-Fetch-Site': 'same-site', Origin: 'https://other.localhost' },
  { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://other.example' },
  { Origin: 'https://other.localhost' },
  { Origin: 'null' },
];
const OWN: readonly Fields[] = [
  { 'Sec-Fetch-Site': 'same-origin', Origin: `https://${HOST}` },
  { Origin: `https://${HOST}` },
  {},
];

const ASKING = ALL.filter(({ key }) => ASKING_KINDS.some((kind) => kind.key === key));

describe.each(ASKING)('$key $by', (gate) => {
  it.each(WAYS)(
    'passes nothing that a page of another site sends in $name',
    { timeout: 30_000 },
    async (way) => {
      const site = await siteOf(typeof gate.access === 'function' ? await gate.access() : gate.access, way);
      const visitor = await gate.passing(site);
      const outcomes = async (fields: Fields): Promise<readonly Outcome[]> => {
        const as = { from: visitor.from, headers: { ...visitor.headers, ...fields } };
        const post = await site.send(as, { method: 'POST', path: '/visit-post' }, 'a=b');
        return [post.statusCode!, await site.visit('WebSocket', as)];
      };
      // No page of another site can set this field.
      const isExplicit = gate.by === 'a header';
      for (const fields of FOREIGN) {
        expect(await outcomes(fields)).toEqual(isExplicit ? [200, 'served'] : [403, 403]);
        const paths = site.received().match(/\/visit-(?:post|ws)/g) ?? [];
        expect(paths.length > 0).toBe(isExplicit);
      }
      for (const fields of OWN) expect(await outcomes(fields)).toEqual([200, 'served']);
      // A link on another site.
      const linked = { ...visitor.headers, 'Sec-Fetch-Site': 'cross-site' };
      expect(await site.visit('HTTP/1.1', { from: visitor.from, headers: linked })).toBe('served');
    },
  );
});

it('says in the guide what rejected visitors get, and what relays see of each gate', async () => {
  const guide = await readFile(new URL('../../docs/guides/access.md', import.meta.url), 'utf8');
  const rows = [...guide.matchAll(/^\| `(\w+)` +\| (\d{3})[^|]*\| ([^|]+?) +\|$/gm)];
  expect(rows.map(([, key, status]) => [key, Number(status)])).toEqual(
    GATE_KINDS.map(({ key }) => [key, CASES[key][0]!.status]),
  );
});
