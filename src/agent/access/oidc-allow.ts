import type { OidcSpec } from '../spec.js';

/** What a provider says about a visitor. */
export interface Account {
  /** Never changes, and belongs to one person only (OpenID Connect Core, section 5.7). */
  readonly subject: string;
  /** Only if the provider has verified it. */
  readonly email?: string | undefined;
  readonly groups: readonly string[];
}

/** Claims of an ID token or of UserInfo (OpenID Connect Core, section 5.1). `groups` is a custom of many providers. */
export type Claims = Readonly<Record<string, unknown>>;

/** Whether the claims have an address and say whether it is verified. */
export const hasEmail = ({ email, email_verified: verified }: Claims): boolean =>
  typeof email === 'string' && verified !== undefined;
export const hasGroups = ({ groups }: Claims): boolean => groups !== undefined;

/**
 * The account of an ID token and of UserInfo. Throws if the subject is invalid, or differs between the two.
 *
 * An address and its verification come from the same source: a provider may let people enter any address in their profile.
 */
export function accountOf(idToken: Claims, userInfo: Claims = {}): Account {
  const { sub } = idToken;
  if (typeof sub !== 'string' || sub === '' || !isUnicode(sub))
    throw new Error('the claim `sub` of the ID token is invalid');
  if (userInfo['sub'] !== undefined && userInfo['sub'] !== sub)
    throw new Error('the claim `sub` of UserInfo is not that of the ID token');
  const both = [idToken, userInfo];
  const { email, email_verified: verified } = both.find(hasEmail) ?? {};
  const { groups } = both.find(hasGroups) ?? {};
  // Some providers write `"true"`.
  const isVerified = verified === true || verified === 'true';
  const list = Array.isArray(groups) ? (groups as unknown[]) : [groups];
  return {
    subject: sub,
    ...(isVerified && typeof email === 'string' && isEmail(email) && { email }),
    groups: list.filter((each) => typeof each === 'string'),
  };
}

/** Text without half of a surrogate pair, which has no bytes. */
const isUnicode = (text: string): boolean => !/\p{Cs}/u.test(text);

/** The subject as a header field. Different subjects have different fields, so `%` is encoded as well. */
export const userField = (subject: string): string =>
  /^[!-$&-~]+$/.test(subject) ? subject : encodeURIComponent(subject);

/** Addresses that a header field can carry. */
const isEmail = (text: string): boolean => /^[!-?A-~]+@[!-?A-~]+$/.test(text) && text.length <= 320;

export function isAllowed(
  { email, groups }: Account,
  { emails, domains, groups: allowed }: OidcSpec['allow'],
): boolean {
  const address = email?.toLowerCase();
  if (address !== undefined) {
    const domain = address.slice(address.lastIndexOf('@') + 1);
    if (emails?.some((each) => each.toLowerCase() === address)) return true;
    if (domains?.some((each) => each.toLowerCase() === domain)) return true;
  }
  return groups.some((group) => allowed?.includes(group));
}
