import { page, realmOf, unframed, type Page } from '../pages/page.js';

/** The pages for visitors whom a gate rejects. */

/** The visitor knows its own address. The owner needs it to allow it. */
export const notAllowed = (address: string): Page =>
  page(403, 'Forbidden', 'ip_denied', {
    title: 'Your address is not allowed',
    text: `It is ${address}. Ask the owner of this service to allow it.`,
    owner: 'Add the address to `access.allowIps` in `portal.yaml`.',
  });

/** A visitor that has not proven an identity. */
export const notIdentified: Page = page(403, 'Forbidden', 'identity_required', {
  title: 'This service is private',
  text: 'Only identities that its owner lists can connect, with `portal connect`.',
  owner: '`access.identities` in `portal.yaml` lists them.',
});

const TOO_MANY = {
  requests: {
    text: 'You have sent more requests than this service allows.',
    owner: '`access.rateLimit` in `portal.yaml` sets the limit.',
  },
  links: {
    text: 'Your network has opened too many links of this service.',
    owner: 'Portal limits how often a network may open share links. No setting changes this.',
  },
  signIns: {
    text: 'Your network has signed in too often.',
    owner: 'Portal limits how often a network may return from the provider. No setting changes this.',
  },
} as const;

/** @param waitMs until the next request passes */
export const tooMany = (what: keyof typeof TOO_MANY, waitMs: number): Page =>
  page(429, 'Too Many Requests', 'rate_limited', {
    title: 'Too many requests',
    ...TOO_MANY[what],
    retryAfterS: Math.ceil(waitMs / 1_000),
  });

const SIGN_IN = {
  asked: {
    title: 'Sign in',
    text: 'This service requires a user name and a password. Reload the page to enter them.',
  },
  wrong: { title: 'Sign in', text: 'Wrong user name or password. Reload the page to try again.' },
  wait: { title: 'Too many wrong passwords', text: 'You have entered too many wrong passwords.' },
} as const;
const SIGN_IN_CODES = { asked: 'password_required', wrong: 'password_wrong', wait: 'password_wait' } as const;

/**
 * Asks for a user name and a password (RFC 7617). A browser shows its own form first, and this page if the visitor cancels that.
 *
 * @param last the result of the last attempt; `waitS`: whole seconds until the next one
 */
export function signIn(
  service: string,
  last?: { readonly kind: 'wrong' } | { readonly kind: 'wait'; readonly waitS: number },
): Page {
  const owner =
    '`access.basic` in `portal.yaml` has the users. `portal hash` makes the hash of a new password.';
  const kind = last?.kind ?? 'asked';
  const words = { ...SIGN_IN[kind], owner };
  if (last?.kind === 'wait')
    return page(429, 'Too Many Requests', SIGN_IN_CODES.wait, { ...words, retryAfterS: last.waitS });
  const asks = page(401, 'Unauthorized', SIGN_IN_CODES[kind], words);
  const challenge = `Basic realm="${realmOf(service)}", charset="UTF-8"`;
  return { ...asks, headers: [...asks.headers, 'WWW-Authenticate', challenge] };
}

/** A webhook that its sender has not signed as expected. */
export const notSigned = (problem: 'missing' | 'wrong' | 'old'): Page =>
  page(403, 'Forbidden', `signature_${problem}`, {
    ...NOT_SIGNED[problem],
    owner: '`access.webhook` in `portal.yaml` has the secret that the sender must use.',
  });

const LINK_INVALID = page(403, 'Forbidden', 'link_invalid', {
  title: 'This link is not valid',
  text: 'It has expired or was revoked, or a part of it is missing. Ask for a new one.',
  owner: '`portal share list` shows your links, and `portal share SERVICE` creates one.',
});
/** The same for an expired, a revoked and a changed link, so that it shows nothing about others. */
export const linkInvalid: Page = {
  ...LINK_INVALID,
  // The address of this page has the link.
  headers: [...LINK_INVALID.headers, 'Referrer-Policy', 'no-referrer'],
};

const NOT_SIGNED = {
  missing: { title: 'Signature missing', text: 'This service accepts only signed webhooks.' },
  wrong: { title: 'Wrong signature', text: 'The signature of the webhook does not match its body.' },
  old: {
    title: 'Signature expired',
    text: 'The webhook was signed more than 5 minutes ago, or the clocks of its sender and of this service differ.',
  },
} as const;

/** @param text what is accepted instead; `owner`: what the owner can do */
const foreignSite = ({ text, owner }: { readonly text: string; readonly owner?: string }): Page =>
  unframed(
    page(403, 'Forbidden', 'foreign_site', {
      title: 'Sent by another site',
      text: `A page of another site has sent this request. ${text}`,
      ...(owner !== undefined && { owner }),
      link: { href: '/', text: 'Open the service' },
    }),
  );

/** For a request that a page of another site sent. */
export const foreignRequest = foreignSite({
  text: 'Only pages of this host may send forms, uploads and WebSockets.',
  owner: 'To use two services in one page, publish them under one hostname, with `routes` in `portal.yaml`.',
});

/** For a request through `portal connect` that a page of another site has sent. */
export const fromAnotherSite = foreignSite({ text: 'This port accepts requests of this machine only.' });
