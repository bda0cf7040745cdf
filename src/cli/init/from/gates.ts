import { listOf } from '../../../config/words/suggest.js';

/** Settings of other programs that decide who may visit, and the gates of Portal that replace them. */

export type GateKey = 'basic' | 'oidc' | 'allowIps' | 'webhook';

/** The gates that can replace each setting. Several: the setting does not tell which. */
const GUARDS: Readonly<Record<string, readonly GateKey[]>> = {
  oauth: ['oidc'],
  oidc: ['oidc'],
  saml: ['oidc', 'basic'],
  jwt_validation: ['oidc', 'basic'],
  traffic_policy: ['oidc', 'basic'],
  policy: ['oidc', 'basic'],
  verify_webhook: ['webhook'],
  webhook_verification: ['webhook'],
  mutual_tls_cas: ['oidc', 'basic'],
  user_agent_filter: ['oidc', 'basic'],
  deny_cidrs: ['allowIps'],
  access: ['oidc'],
  ipRules: ['allowIps'],
  routeByHTTPUser: ['oidc', 'basic'],
  auth: ['basic'],
  basic_auth: ['basic'],
  httpUser: ['basic'],
  httpPassword: ['basic'],
};

/** Names of gates in a note. */
const NAMES: Readonly<Record<GateKey, string>> = {
  basic: '`access.basic` with hashes from `portal hash`',
  oidc: '`access.oidc`',
  allowIps: '`access.allowIps`',
  webhook: '`access.webhook`',
};

/** A service can have one of these. */
const SIGN_IN: readonly GateKey[] = ['oidc', 'basic'];

/** Gates with placeholders, as lines of YAML. */
const EXAMPLES: Readonly<Record<GateKey, readonly string[]>> = {
  basic: ['basic:', '  alice: "${ALICE_HASH}" # from `portal hash`'],
  oidc: [
    'oidc:',
    '  issuer: https://accounts.google.com',
    '  clientId: my-client-id',
    '  clientSecret: "${OIDC_SECRET}"',
    '  allow: { domains: [example.com] }',
  ],
  allowIps: ['allowIps: [203.0.113.0/24]'],
  webhook: ['webhook:', '  provider: github', '  secret: "${WEBHOOK_SECRET}"'],
};

export const isGuard = (key: string): boolean => Object.hasOwn(GUARDS, key);

/** @param guards keys for which `isGuard` is true */
export const gatesFor = (guards: readonly string[]): ReadonlySet<GateKey> =>
  new Set(guards.flatMap((key) => GUARDS[key] ?? []));

/** What to set instead of the dropped `guards`, for a note. */
export function instructionFor(guards: readonly string[]): string {
  if (guards.some((key) => (GUARDS[key]?.length ?? 0) > 1)) return '`access`';
  const gates = gatesFor(guards);
  const named = (keys: readonly GateKey[]): string[] =>
    keys.filter((key) => gates.has(key)).map((key) => NAMES[key]);
  const signIn = listOf(named(SIGN_IN), 'or');
  return listOf([...(signIn ? [signIn] : []), ...named(['allowIps', 'webhook'])], 'and');
}

/** Whom the dropped settings let in. The passwords stay where they are. */
export interface People {
  readonly emails: readonly string[];
  readonly domains: readonly string[];
  readonly users: readonly string[];
}

const EMAIL = /^[\w.+-]+@[\w-]+(\.[\w-]+)+$/;
const DOMAIN = /^[\w-]+(\.[\w-]+)+$/;
/** A user with a password, as ngrok and ssh write it. */
const USER = /^([a-z][\w.-]{0,63}):/i;
/** Settings with such users. */
const BASIC = /^(basic_?)?auth$|credentials/i;

/** The people that the values of `guards` name. */
export function peopleIn(guards: Readonly<Record<string, unknown>>): People {
  const { httpUser } = guards;
  return {
    emails: textsIn(guards).filter((text) => EMAIL.test(text)),
    domains: textsIn(guards, /domains/).filter((text) => DOMAIN.test(text)),
    users: [
      ...textsIn(guards, BASIC).flatMap((text) => USER.exec(text)?.[1] ?? []),
      ...(typeof httpUser === 'string' && /^[a-z][\w.-]{0,63}$/i.test(httpUser) ? [httpUser] : []),
    ],
  };
}

/** Every text in `value`; with `below`, only those below a key that matches it. */
function textsIn(value: unknown, below?: RegExp): string[] {
  if (typeof value === 'string') return below ? [] : [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => textsIn(each, below?.test(key) ? undefined : below));
}

function linesOf(key: GateKey, { emails, domains, users }: People): readonly string[] {
  if (key === 'basic' && users.length > 0)
    return ['basic:', ...users.map((user) => `  ${user}: "\${${variableOf(user)}}" # from \`portal hash\``)];
  const allowed = [
    ...(emails.length > 0 ? [`emails: [${emails.join(', ')}]`] : []),
    ...(domains.length > 0 ? [`domains: [${domains.join(', ')}]`] : []),
  ];
  if (key === 'oidc' && allowed.length > 0)
    return [...EXAMPLES.oidc.slice(0, -1), `  allow: { ${allowed.join(', ')} }`];
  return EXAMPLES[key];
}

const variableOf = (user: string): string => `${user.toUpperCase().replaceAll(/\W/g, '_')}_HASH`;

/** The gates with placeholders as a YAML comment, without `#`: the user uncomments and completes it. */
export function examplesOf(gates: readonly GateKey[], people: People): string[] {
  const [chosen] = SIGN_IN.filter((key) => gates.includes(key));
  const compatible = gates.filter((key) => key === chosen || !SIGN_IN.includes(key));
  return compatible.flatMap((key) => linesOf(key, people));
}
