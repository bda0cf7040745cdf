import { contentPolicy, escapeHtml, FORM_POLICY, htmlPage } from './page-style.js';

/**
 * A page that Portal itself sends to a visitor, for people and for programs: what happened, what to do, and what the
 * owner can do.
 */

export interface Page {
  readonly status: number;
  readonly reason: string;
  /** Short and stable: programs get it in JSON, and the inspector marks the request with it. */
  readonly code: string;
  readonly title: string;
  /** Header fields of every format. */
  readonly headers: readonly string[];
  /** The page for browsers, and header fields that only this page needs. */
  readonly html: string;
  readonly htmlHeaders: readonly string[];
  /** The same in sentences, for programs. */
  readonly text: string;
}

interface Words {
  /** Above the title. Default: the status. */
  readonly label?: string;
  readonly title: string;
  readonly text: string;
  readonly owner?: string;
  /** A browser retries after this many seconds, then less often. Programs get the time in Retry-After. */
  readonly retryAfterS?: number;
  /** What a visitor with a browser can do: a path on this host. */
  readonly link?: { readonly href: string; readonly text: string };
}

/** Header fields of each of Portal's own pages. */
export const OWN_HEADERS = [
  'Cache-Control',
  'no-store',
  'X-Robots-Tag',
  'noindex',
  'X-Content-Type-Options',
  'nosniff',
] as const;

export function page(status: number, reason: string, code: string, words: Words): Page {
  const { label = `${status} ${reason}`, title, text, owner, retryAfterS, link } = words;
  const seconds = retryAfterS === 1 ? 'second' : `${retryAfterS} seconds`;
  const reloads =
    retryAfterS === undefined
      ? ''
      : ` This page reloads in ${seconds}, then less often, while it is visible.`;
  const again = retryAfterS === undefined ? '' : ` Try again in ${retryAfterS === 1 ? 'a second' : seconds}.`;
  const forOwner = owner === undefined ? '' : `\nIs this your service? ${owner}`;
  return {
    status,
    reason,
    code,
    title,
    headers: [...OWN_HEADERS, ...(retryAfterS === undefined ? [] : ['Retry-After', String(retryAfterS)])],
    html: htmlPage({
      label,
      title,
      text: text + reloads,
      ...(owner && { owner }),
      ...(retryAfterS !== undefined && { retryAfterS }),
      ...(link && { form: `\n<p><a href="${escapeHtml(link.href)}">${escapeHtml(link.text)}</a></p>` }),
    }),
    htmlHeaders: ['Content-Security-Policy', contentPolicy("'none'", retryAfterS !== undefined)],
    text: `${title}. ${text}${again}${forOwner}`,
  };
}

/** A page in the format that the visitor's Accept header asks for: HTML, JSON, or else plain text. */
export function formatted(of: Page, accept: string): { headers: readonly string[]; body: string } {
  if (/\b(text\/html|application\/xhtml\+xml)\b/i.test(accept))
    return {
      headers: ['Content-Type', 'text/html; charset=utf-8', ...of.headers, ...of.htmlHeaders],
      body: of.html,
    };
  if (/\bapplication\/([\w.-]+\+)?json\b/i.test(accept)) {
    const { status, code, text } = of;
    return {
      headers: ['Content-Type', 'application/json', ...of.headers],
      body: `${JSON.stringify({ status, [status < 400 ? 'code' : 'error']: code, message: text.replaceAll('\n', ' ') })}\n`,
    };
  }
  return { headers: ['Content-Type', 'text/plain; charset=utf-8', ...of.headers], body: `${of.text}\n` };
}

export const notRunning = (service: string): Page =>
  page(503, 'Service Unavailable', 'target_down', {
    title: `${service} is not running`,
    text: 'The tunnel works, but the service behind it does not respond.',
    owner: 'Start it. `portal status` shows why Portal cannot reach it.',
    retryAfterS: 3,
  });

/** @param headers the id of the held request */
export const held = (service: string, holdMs: number, headers: readonly string[]): Page => {
  const accepted = page(202, 'Accepted', 'held', {
    title: 'Request held',
    text: `${service} is not running now. Portal delivers this request when it is back, in order, within ${inWords(holdMs)}.`,
  });
  return { ...accepted, headers: [...accepted.headers, ...headers] };
};

export const holdFull = (service: string): Page =>
  page(503, 'Service Unavailable', 'hold_full', {
    title: `${service} is not running`,
    text: 'Portal already holds as many requests for it as it may.',
    owner: 'Start it, and Portal delivers them.',
    retryAfterS: 30,
  });

function inWords(ms: number): string {
  const units = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1_000, 'second'],
  ] as const;
  const [unitMs, unit] = units.find(([each]) => ms % each === 0) ?? units[3];
  const count = Math.ceil(ms / unitMs);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

export const changing = (service: string): Page =>
  page(503, 'Service Unavailable', 'changing', {
    title: `${service} has just changed`,
    text: 'The service changed while you were connecting, and now uses another protocol.',
    retryAfterS: 1,
  });

export const notTrusted = (service: string): Page =>
  page(502, 'Bad Gateway', 'target_untrusted', {
    title: `${service} is not trusted`,
    text: 'The tunnel works, but Portal does not trust the certificate of the service behind it.',
    owner: '`portal status` shows what is wrong with its certificate.',
    retryAfterS: 3,
  });

/** The visitor knows its own address. The owner needs it to allow it. */
export const notAllowed = (address: string): Page =>
  page(403, 'Forbidden', 'ip_denied', {
    title: 'Your address is not allowed',
    text: `Your address is ${address}. Ask the owner of this service to allow it.`,
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

/** The name of a service between quotation marks (RFC 9110, section 11.5). */
export const realmOf = (service: string): string => service.replace(/[^\w .-]/g, '');

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

/** For a request through `portal connect` that a page of another site has sent. */
export const fromAnotherSite: Page = {
  ...page(403, 'Forbidden', 'foreign_site', {
    title: 'Sent by another site',
    text: 'A page of another site has sent this request. This port accepts requests of this machine only.',
    link: { href: '/', text: 'Open the service' },
  }),
  // So that the other site cannot show the link in a frame.
  htmlHeaders: ['Content-Security-Policy', FORM_POLICY],
};

const CHECK_SERVICE = 'Check the logs of the service. `portal logs` shows what Portal saw.';

export const PAGES = {
  badRequest: page(400, 'Bad Request', 'bad_request', {
    title: 'Bad request',
    text: 'The request is not valid HTTP.',
  }),
  unsafePath: page(400, 'Bad Request', 'unsafe_path', {
    title: 'This path is ambiguous',
    text: 'Programs interpret this path in different ways. Use a path without dot segments and unneeded escapes.',
  }),
  noRoute: page(404, 'Not Found', 'no_route', {
    title: 'Page not found',
    text: 'The tunnel works, but no service has this path. Check the address.',
    owner: 'Add a route for this path to `portal.yaml`.',
  }),
  methodNotAllowed: page(405, 'Method Not Allowed', 'connect_denied', {
    title: 'Not a proxy',
    text: 'This server does not accept CONNECT requests.',
  }),
  echoRefused: page(405, 'Method Not Allowed', 'trace_denied', {
    title: 'Method not allowed',
    text: 'TRACE would show headers that visitors must not see. Use another method.',
  }),
  requestTimeout: page(408, 'Request Timeout', 'request_timeout', {
    title: 'The request timed out',
    text: 'The rest of the request did not arrive in time. Send it again.',
  }),
  expectationFailed: page(417, 'Expectation Failed', 'expectation_failed', {
    title: 'Expectation failed',
    text: 'The only expectation that this server supports is 100-continue.',
  }),
  misdirected: page(421, 'Misdirected Request', 'misdirected', {
    title: 'Wrong host',
    text: 'The request names a different host than its connection. Reload the page, or check the address.',
    owner: 'If a proxy is in front of Portal, have it connect with the name that visitors use.',
  }),
  bodyTooLarge: page(413, 'Content Too Large', 'body_too_large', {
    title: 'Request body too large',
    text: 'The body of a signed webhook may have 25 MiB.',
  }),
  tooLarge: page(431, 'Request Header Fields Too Large', 'request_headers_too_large', {
    title: 'Request headers too large',
    text: 'The header fields of the request are too many or too long. Deleting the cookies of this site may help.',
  }),
  notImplemented: page(501, 'Not Implemented', 'transfer_coding', {
    title: 'Not implemented',
    text: 'The only transfer coding that this server supports is chunked.',
  }),
  unknownMethod: page(501, 'Not Implemented', 'unknown_method', {
    title: 'Unknown method',
    text: 'Over HTTP/1.1 this server forwards only registered methods. Use HTTP/2 for others.',
  }),
  gateFailed: page(500, 'Internal Server Error', 'gate_failed', {
    title: 'Access could not be checked',
    text: 'The check of your access failed. Try again later.',
    owner: '`portal logs` shows the error.',
  }),
  responseTooLarge: page(502, 'Bad Gateway', 'response_headers_too_large', {
    title: 'Response headers too large',
    text: 'The response has more than 200 header fields, or more than 32 KiB of them.',
    owner: 'Make the service send fewer or shorter headers.',
  }),
  badGateway: page(502, 'Bad Gateway', 'bad_response', {
    title: 'The response is invalid',
    text: 'The connection to the service broke, or its response is not valid HTTP. Try again later.',
    owner: CHECK_SERVICE,
  }),
  busy: page(503, 'Service Unavailable', 'busy', {
    title: 'Too many requests at once',
    text: 'The service is busy with other requests.',
    retryAfterS: 3,
  }),
  silent: page(504, 'Gateway Timeout', 'target_timeout', {
    title: 'The service timed out',
    text: 'The service accepted the request, but did not respond in time. Try again later.',
    owner: CHECK_SERVICE,
  }),
  version: page(505, 'HTTP Version Not Supported', 'http_version', {
    title: 'HTTP version not supported',
    text: 'This server supports HTTP/1.0, HTTP/1.1 and HTTP/2.',
  }),
} as const;

const HTML = 'text/html';

/** A page as the bytes of an HTTP/1.1 response, the last on its connection. */
export function rawPage(of: Page, { accept = HTML, headOnly = false } = {}): string {
  const { headers, body } = formatted(of, accept);
  let head = `HTTP/1.1 ${of.status} ${of.reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${headOnly ? '' : body}`;
}
