/** What Portal itself answers a visitor: short pages that say what is wrong, and to whom it may be of use. */

export interface Page {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Of every answer of Portal's own that is a page. */
export const OWN_HEADERS = [
  'Content-Type',
  'text/html; charset=utf-8',
  'Cache-Control',
  'no-store',
  'X-Robots-Tag',
  'noindex',
] as const;

function page(status: number, reason: string, title: string, text: string, retryAfterS?: number): Page {
  const again = retryAfterS === undefined ? '' : `\n<meta http-equiv="refresh" content="${retryAfterS}">`;
  return {
    status,
    reason,
    headers: retryAfterS === undefined ? OWN_HEADERS : [...OWN_HEADERS, 'Retry-After', String(retryAfterS)],
    body: `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">${again}
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}</style>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(text)}</p>
</html>
`,
  };
}

export function escapeHtml(text: string): string {
  return text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

export const notRunning = (service: string): Page =>
  page(
    503,
    'Service Unavailable',
    `${service} is not running`,
    'The tunnel is up, but the service behind it does not answer. This page tries again by itself.',
    3,
  );

export const changing = (service: string): Page =>
  page(
    503,
    'Service Unavailable',
    `${service} has just changed`,
    'It was changed while you were connecting, and no longer speaks what was agreed on. This page tries again by itself.',
    1,
  );

export const notTrusted = (service: string): Page =>
  page(
    502,
    'Bad Gateway',
    `${service} cannot be reached safely`,
    'The tunnel is up, but the certificate of the service behind it is not trusted. This page tries again by itself.',
    3,
  );

/** Who is shown the page knows the address; its owner has to be told it, to let it in. */
export const notAllowed = (address: string): Page =>
  page(
    403,
    'Forbidden',
    'Not open to your address',
    `Visitors from ${address} are not let in. Whoever runs this service can allow the address.`,
  );

export const PAGES = {
  badRequest: page(400, 'Bad Request', 'Bad request', 'What was asked is not valid HTTP.'),
  unsafePath: page(
    400,
    'Bad Request',
    'This path is ambiguous',
    'Different programs would read it as different paths. Write it plainly, without dot segments or needless escapes.',
  ),
  noRoute: page(
    404,
    'Not Found',
    'Nothing is here',
    'The tunnel is up, but no route of it leads to this path.',
  ),
  methodNotAllowed: page(405, 'Method Not Allowed', 'Not a proxy', 'CONNECT means nothing here.'),
  echoRefused: page(
    405,
    'Method Not Allowed',
    'Not allowed',
    'TRACE shows headers that are not for visitors.',
  ),
  requestTimeout: page(
    408,
    'Request Timeout',
    'The request timed out',
    'The rest of the request did not arrive in time.',
  ),
  expectationFailed: page(
    417,
    'Expectation Failed',
    'Expectation failed',
    'Only 100-continue can be expected.',
  ),
  misdirected: page(
    421,
    'Misdirected Request',
    'This is another host',
    'The request names a host that this connection was not made to.',
  ),
  tooLarge: page(
    431,
    'Request Header Fields Too Large',
    'Too much header',
    'The header fields are too many or too long.',
  ),
  notImplemented: page(501, 'Not Implemented', 'Not implemented', 'The only transfer coding is chunked.'),
  unknownMethod: page(
    501,
    'Not Implemented',
    'This method is not known here',
    'Over HTTP/1.1 only the methods that the parser knows are passed on. Over HTTP/2 all are.',
  ),
  tooMuchAnswered: page(
    502,
    'Bad Gateway',
    'The service answered with too much header',
    'The header fields of its answer are more than 200, or longer than 32 KiB together.',
  ),
  badGateway: page(
    502,
    'Bad Gateway',
    'The service did not answer properly',
    'The connection to it broke, or what it said is not valid HTTP.',
  ),
  busy: page(
    503,
    'Service Unavailable',
    'Too many requests at once',
    'The service has enough to do. Try again in a moment.',
    3,
  ),
  silent: page(
    504,
    'Gateway Timeout',
    'The service does not answer',
    'It took the request, and said nothing in time.',
  ),
  version: page(
    505,
    'HTTP Version Not Supported',
    'Not this version of HTTP',
    'HTTP/1.1, HTTP/1.0 and HTTP/2 are spoken here.',
  ),
} as const;

/** A page as the bytes of an HTTP/1.1 answer, the last on its connection. */
export function rawPage({ status, reason, headers, body }: Page, headOnly = false): string {
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${headOnly ? '' : body}`;
}
