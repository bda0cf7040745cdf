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

export const hasEmail = ({ email, email_verified: verified }: Claims): boolean =>
  email !== undefined && verified !== undefined;
export const hasGroups = ({ groups }: Claims): boolean => groups !== undefined;

export function accountOf(claims: Claims): Account {
  const { sub, email, email_verified: verified, groups } = claims;
  // Some providers write `"true"`.
  const isVerified = verified === true || verified === 'true';
  const list = Array.isArray(groups) ? (groups as unknown[]) : [groups];
  return {
    subject: String(sub),
    ...(isVerified && typeof email === 'string' && isEmail(email) && { email }),
    groups: list.filter((each) => typeof each === 'string'),
  };
}

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
