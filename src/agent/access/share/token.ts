import { createHmac } from 'node:crypto';
import { isSameSecret } from '../../../lib/same-secret.js';
import { cookiesNamed, setCookie, SHARE_COOKIE } from '../cookies.js';
import { linkPath } from './path.js';

/** What a share link opens, and when. Times are whole seconds since the epoch. */
export interface ShareLink {
  /** 8 characters of base32. */
  readonly id: string;
  readonly issuedAt: number;
  readonly until: number;
  /** See `linkPath`. */
  readonly path: string;
}

/** Where a link is valid. Any change to it ends the link. */
export interface ShareScope {
  readonly hostname: string;
  readonly service: string;
  /** A keyed hash of the settings of the gates that the link passes. */
  readonly settings: string;
}

const SIGNATURE_BYTES = 65;
/** Length of `proofOf`. */
const PROOF_CHARS = 43;
const PARTS = /^([a-z2-7]{8})\.(\d{1,12})\.(\d{1,12})\.([\w-]{1,700})\.([\w-]{43,90})$/;

/** What the identity signs (EIP-191). JSON, so that no two inputs produce the same text. */
export function shareMessage({ id, issuedAt, until, path }: ShareLink, scope: ShareScope): string {
  const { hostname, service, settings } = scope;
  return `Portal share link\n${JSON.stringify([id, issuedAt, until, path, hostname.toLowerCase(), service, settings])}`;
}

/** @param signature 0x and 130 hex digits */
export function shareToken(link: ShareLink, signature: string): string {
  return `${fieldsOf(link)}.${Buffer.from(signature.slice(2), 'hex').toString('base64url')}`;
}

/** Undefined if it is malformed. Nothing is verified. */
export function readToken(
  token: string,
): { readonly link: ShareLink; readonly signature: string } | undefined {
  const read = readFields(token);
  const bytes = Buffer.from(read?.proof ?? '', 'base64url');
  if (!read || bytes.length !== SIGNATURE_BYTES || bytes.toString('base64url') !== read.proof)
    return undefined;
  return { link: read.link, signature: `0x${bytes.toString('hex')}` };
}

/** A Set-Cookie header for a visitor that has opened the link. */
export function shareCookie(key: Buffer, link: ShareLink, scope: ShareScope, now: number): string {
  const value = `${fieldsOf(link)}.${proofOf(key, link, scope)}`;
  const maxAge = Math.max(0, link.until - Math.floor(now / 1_000));
  return setCookie(SHARE_COOKIE, value, maxAge, link.path);
}

export interface CookieCheck {
  readonly key: Buffer;
  readonly scope: ShareScope;
  /** Whether a link may be open. Asked before the signature, which is expensive to check. */
  readonly mayBeOpen: (link: ShareLink) => boolean;
}

/** The links whose cookies are in a Cookie header and pass `check`. Their path is not checked. */
export function linksIn(cookies: string, { key, scope, mayBeOpen }: CookieCheck): ShareLink[] {
  const links: ShareLink[] = [];
  for (const value of cookiesNamed(SHARE_COOKIE, cookies)) {
    const read = readFields(value);
    if (read?.proof.length !== PROOF_CHARS || !mayBeOpen(read.link)) continue;
    if (isSameSecret(read.proof, proofOf(key, read.link, scope))) links.push(read.link);
  }
  return links;
}

const fieldsOf = ({ id, issuedAt, until, path }: ShareLink): string =>
  `${id}.${issuedAt}.${until}.${Buffer.from(path).toString('base64url')}`;

function readFields(text: string): { link: ShareLink; proof: string } | undefined {
  const [, id = '', issuedAt, until, encoded = '', proof = ''] = PARTS.exec(text) ?? [];
  const path = Buffer.from(encoded, 'base64url').toString();
  if (id === '' || linkPath(path) !== path) return undefined;
  return { link: { id, issuedAt: Number(issuedAt), until: Number(until), path }, proof };
}

const proofOf = (key: Buffer, link: ShareLink, scope: ShareScope): string =>
  createHmac('sha256', key)
    .update(`cookie ${shareMessage(link, scope)}`)
    .digest('base64url');
