/** The query parameter of a share link. */
export const SHARE_PARAMETER = 'portal-share';

const PREFIX = `${SHARE_PARAMETER}=`;
const HIDDEN = '***';

/** The token in a request target, and the target without it. Undefined without a token. */
export function tokenIn(target: string): { readonly token: string; readonly clean: string } | undefined {
  if (!target.includes(PREFIX)) return undefined;
  const query = target.indexOf('?');
  if (query < 0) return undefined;
  const pairs = target.slice(query + 1).split('&');
  const token = pairs.find((pair) => pair.startsWith(PREFIX))?.slice(PREFIX.length);
  if (token === undefined) return undefined;
  const rest = pairs.filter((pair) => !pair.startsWith(PREFIX)).join('&');
  return { token, clean: target.slice(0, query) + (rest === '' ? '' : `?${rest}`) };
}

/** A request target or a URL without the token of a share link, for people and files. */
export function withoutToken(target: string): string {
  if (!target.includes(PREFIX)) return target;
  return target.replaceAll(TOKENS, `$1${HIDDEN}`);
}

const TOKENS = new RegExp(`([?&]${PREFIX})[^&#]*`, 'g');
