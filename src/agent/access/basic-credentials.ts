import { hasControls } from '../../lib/passwords/hash.js';

/** What a visitor sends in `Authorization` (RFC 7617). */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Longer ones are invalid. */
const MAX_BYTES = 2_048;
const FIELD = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Undefined for another scheme, and for malformed credentials. */
export function readBasic(field: string): Credentials | undefined {
  const [, token = ''] = FIELD.exec(field) ?? [];
  if (token === '' || token.length > (MAX_BYTES / 3) * 4) return undefined;
  let text: string;
  try {
    text = UTF8.decode(Buffer.from(token, 'base64'));
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  if (colon === -1 || hasControls(text)) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

export const basicField = ({ user, password }: Credentials): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
