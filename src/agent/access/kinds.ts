import { isDeepStrictEqual } from 'node:util';
import { AddressSet } from '../../net/cidr.js';
import { CONNECT_ALPN } from '../../protocol/limits.js';
import type { AccessSpec, OidcSpec, RateLimitSpec } from '../spec.js';
import type { RejectionReason } from './rejections.js';

/** The keys of `access` that are gates. */
export type GateKey = Exclude<keyof AccessSpec, 'sharing'>;

/**
 * A kind of gate: what the rest of Portal must know about it without opening one. Its settings are one key of `access` in the
 * schema, and `gates.ts` opens it. This file loads nothing of the agent.
 */
export interface GateKind {
  /** Its key under `access`. */
  readonly key: GateKey;
  /** Its name in events, in counts and in `status`. */
  readonly reason: RejectionReason;
  /** Whether it reads requests. A service with such a gate is served as HTTP. */
  readonly readsHttp: boolean;
  /** Request header fields for the gate alone, in lower case. The target does not get them, and the inspector hides them. */
  readonly strips?: readonly string[];
  /** Visitors must speak this protocol (ALPN). Others get at most a page. */
  readonly alpn?: string;
  /** Its own paths, on which it responds instead of the target while it is set. */
  readonly paths?: readonly string[];
  /**
   * Set if visitors need something to pass. `curl`: the arguments with which curl passes, with a placeholder for the secret.
   */
  readonly needs?: { readonly curl?: string };
  /**
   * Whether visitors with a share link pass: by default, or with `sharing: true`. A gate that names visitors to the target needs
   * that setting, because the target gets no name then. Default: they pass as all visitors do.
   */
  readonly links?: 'by default' | 'with sharing';
  /** Whether `after` admits visitors that `before` rejected, for example those who know another secret. */
  widens(before: AccessSpec, after: AccessSpec): boolean;
  /** Which visitors pass, for example `with a PIN`. Undefined if the gate is not set. Contains no secret. */
  describe(access: AccessSpec): string | undefined;
}

/** The header in which programs send the PIN. */
export const PIN_HEADER = 'portal-pin';
/** Where the form of the PIN page posts to. Reserved for Portal while a PIN is set. */
export const PIN_PATH = '/__portal/pin';

/** Limit of the addresses that `describe` names. */
const MAX_DESCRIBED = 3;

const ADDRESSES: GateKind = {
  key: 'allowIps',
  reason: 'ip',
  readsHttp: false,
  widens({ allowIps: before }, { allowIps: after }) {
    if (!before) return false;
    return !after || !new AddressSet(before).covers(new AddressSet(after));
  },
  describe({ allowIps = [] }) {
    if (allowIps.length === 0) return undefined;
    const rest = allowIps.length - MAX_DESCRIBED;
    return `only from ${allowIps.slice(0, MAX_DESCRIBED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  },
};

const IDENTITIES: GateKind = {
  key: 'identities',
  reason: 'identity',
  readsHttp: false,
  alpn: CONNECT_ALPN,
  needs: {},
  widens({ identities: before }, { identities: after }) {
    if (!before) return false;
    return !after || after.some((address) => !before.includes(address));
  },
  describe({ identities }) {
    if (!identities) return undefined;
    const rest = identities.length - MAX_DESCRIBED;
    const some = identities.slice(0, MAX_DESCRIBED).map((address) => `${address.slice(0, 8)}…`);
    const others = [...some, ...(rest > 0 ? [`${rest} more`] : [])];
    return others.length === 0 ? 'only your identity' : `only your identity and ${others.join(', ')}`;
  },
};

const PERIODS = {
  s: { seconds: 1, text: 'per second' },
  m: { seconds: 60, text: 'per minute' },
  h: { seconds: 3_600, text: 'per hour' },
} as const;

/** The average rate. */
export const perSecond = ({ requests, per }: RateLimitSpec): number => requests / PERIODS[per].seconds;

const RATE_LIMIT: GateKind = {
  key: 'rateLimit',
  reason: 'rate',
  readsHttp: true,
  widens({ rateLimit: before }, { rateLimit: after }) {
    if (!before) return false;
    return !after || perSecond(after) > perSecond(before) || after.burst > before.burst;
  },
  describe: ({ rateLimit }) =>
    rateLimit &&
    `at most ${rateLimit.requests} ${rateLimit.requests === 1 ? 'request' : 'requests'} ${PERIODS[rateLimit.per].text} per visitor`,
};

const PIN: GateKind = {
  key: 'pin',
  reason: 'pin',
  readsHttp: true,
  strips: [PIN_HEADER],
  paths: [PIN_PATH],
  needs: { curl: "-H 'Portal-Pin: YOUR-PIN'" },
  links: 'by default',
  widens: (before, after) => before.pin !== undefined && after.pin !== before.pin,
  describe: ({ pin }) => (pin === undefined ? undefined : 'with a PIN'),
};

const BASIC: GateKind = {
  key: 'basic',
  reason: 'basic',
  readsHttp: true,
  needs: { curl: '-u YOUR-USER:YOUR-PASSWORD' },
  links: 'with sharing',
  widens({ basic: before }, { basic: after }) {
    if (!before) return false;
    // Another hash admits everyone who knows the new password.
    return !after || Object.entries(after).some(([user, hash]) => before[user] !== hash);
  },
  describe({ basic }) {
    const count = Object.keys(basic ?? {}).length;
    return basic && `with a user name and a password (${count} ${count === 1 ? 'user' : 'users'})`;
  },
};

/** Where a provider returns visitors, and where they sign in again or out. */
export const OIDC_PATHS = {
  callback: '/__portal/oidc/callback',
  signIn: '/__portal/oidc/sign-in',
  signOut: '/__portal/oidc/sign-out',
} as const;

const allowedBy = ({ allow: { emails = [], domains = [], groups = [] } }: OidcSpec): string[] => [
  ...emails,
  ...domains.map((domain) => `@${domain}`),
  ...groups.map((group) => `group ${group}`),
];

const OIDC: GateKind = {
  key: 'oidc',
  reason: 'oidc',
  readsHttp: true,
  paths: Object.values(OIDC_PATHS),
  needs: {},
  links: 'with sharing',
  widens({ oidc: before }, { oidc: after }) {
    if (!before) return false;
    // Another provider, or another of its applications, decides who may sign in.
    if (after?.issuer !== before.issuer || after.clientId !== before.clientId) return true;
    const allowed = new Set(allowedBy(before));
    return allowedBy(after).some((each) => !allowed.has(each));
  },
  describe({ oidc }) {
    if (!oidc) return undefined;
    const allowed = allowedBy(oidc);
    const rest = allowed.length - MAX_DESCRIBED;
    const shown = `${allowed.slice(0, MAX_DESCRIBED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
    return `signed in at ${new URL(oidc.issuer).host}: ${shown}`;
  },
};

const PROVIDERS = { github: 'GitHub', slack: 'Slack', stripe: 'Stripe' } as const;

const WEBHOOK: GateKind = {
  key: 'webhook',
  reason: 'webhook',
  readsHttp: true,
  needs: {},
  widens: ({ webhook: before }, { webhook: after }) =>
    before !== undefined && !isDeepStrictEqual(before, after),
  describe({ webhook }) {
    if (!webhook) return undefined;
    const signed = 'provider' in webhook ? `by ${PROVIDERS[webhook.provider]}` : `in \`${webhook.header}\``;
    return `only webhooks signed ${signed}`;
  },
};

/** Every kind of gate, in the order in which a visitor passes them: the cheapest first. */
export const GATE_KINDS: readonly GateKind[] = [ADDRESSES, IDENTITIES, RATE_LIMIT, PIN, BASIC, OIDC, WEBHOOK];

/** Whether a gate must read requests. */
export const readsHttp = (access: AccessSpec): boolean =>
  GATE_KINDS.some((kind) => kind.readsHttp && access[kind.key] !== undefined);

/** The protocol that visitors must speak (ALPN) to pass the gates. Undefined: none in particular. */
export const requiredAlpn = (access: AccessSpec): string | undefined =>
  GATE_KINDS.find((kind) => kind.alpn !== undefined && access[kind.key] !== undefined)?.alpn;

/** Gates that ask a person, so that a share link can replace the answer. */
export const ASKING_KINDS: readonly GateKind[] = GATE_KINDS.filter(({ links }) => links !== undefined);

/** Whether the gate is set, and visitors with a share link pass it. */
export const passesByLink = ({ key, links }: GateKind, access: AccessSpec): boolean =>
  access[key] !== undefined &&
  (links === 'by default' ? access.sharing !== false : links !== undefined && access.sharing === true);

/** Whether `after` admits visitors that a gate rejected `before`. */
export const admitsMore = (before: AccessSpec, after: AccessSpec): boolean =>
  GATE_KINDS.some(
    (kind) =>
      kind.widens(before, after) ||
      (before[kind.key] !== undefined && !passesByLink(kind, before) && passesByLink(kind, after)),
  );

/** What the gates that are set admit, by their names in events. Undefined without a gate. Contains no secret. */
export function gatesOf(access: AccessSpec): Partial<Record<RejectionReason, string>> | undefined {
  const set = GATE_KINDS.flatMap((kind) => {
    const admitted = kind.describe(access);
    if (admitted === undefined) return [];
    const isOpen = kind.links === 'with sharing' && passesByLink(kind, access);
    return [[kind.reason, admitted + (isOpen ? ', or with a share link' : '')] as const];
  });
  return set.length > 0 ? Object.fromEntries(set) : undefined;
}

/** Request header fields for gates, in lower case. */
export const GATE_FIELDS: readonly string[] = GATE_KINDS.flatMap(({ strips = [] }) => strips);

/** Paths on which gates respond instead of the target. Requests there may contain a secret. */
export const GATE_PATHS: ReadonlySet<string> = new Set(GATE_KINDS.flatMap(({ paths = [] }) => paths));

/**
 * What a visitor from this machine needs to pass the gates, as `GateKind.needs`. Undefined if nothing is needed; empty if such
 * a visitor cannot pass.
 */
export function gateFor(access: AccessSpec): { readonly curl?: string } | undefined {
  if (access.allowIps !== undefined && !admitsLoopback(access.allowIps)) return {};
  const needed = GATE_KINDS.flatMap(({ key, needs }) => (needs && access[key] !== undefined ? [needs] : []));
  if (needed.length === 0) return undefined;
  const all = needed.map(({ curl }) => curl);
  return all.includes(undefined) ? {} : { curl: all.join(' ') };
}

function admitsLoopback(ranges: readonly string[]): boolean {
  const allowed = new AddressSet(ranges);
  return allowed.has('127.0.0.1') || allowed.has('::1');
}
