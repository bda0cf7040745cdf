/** Portal's own responses to visitors: short pages that say what is wrong, and who can fix it. */

export interface Page {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Headers of all of Portal's own pages. */
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
    'The tunnel is up, but the service behind it does not answer. This page retries automatically.',
    3,
  );

export const changing = (service: string): Page =>
  page(
    503,
    'Service Unavailable',
    `${service} has changed`,
    'It changed while you were connecting, and no longer speaks the negotiated protocol. This page retries automatically.',
    1,
  );

export const notTrusted = (service: string): Page =>
  page(
    502,
    'Bad Gateway',
    `${service} cannot be reached safely`,
    'The tunnel is up, but the certificate of the service behind it is not trusted. This page retries automatically.',
    3,
  );

/** The page shows the visitor's address, which the owner needs in order to allow it. */
export const notAllowed = (address: string): Page =>
  page(
    403,
    'Forbidden',
    'Not open to your address',
    `Visitors from ${address} are not allowed. The owner of this service can allow the address.`,
  );

export const PAGES = {
  badRequest: page(400, 'Bad Request', 'Bad request', 'The request is not valid HTTP.'),
  unsafePath: page(
    400,
    'Bad Request',
    'This path is ambiguous',
    'Different programs would interpret it as different paths. Write it without dot segments and unnecessary escapes.',
  ),
  noRoute: page(404, 'Not Found', 'Nothing here', 'The tunnel is up, but it has no route for this path.'),
  methodNotAllowed: page(405, 'Method Not Allowed', 'Not a proxy', 'CONNECT is not supported.'),
  echoRefused: page(
    405,
    'Method Not Allowed',
    'Not allowed',
    'TRACE would show headers that visitors must not see.',
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
    'The only supported expectation is 100-continue.',
  ),
  misdirected: page(
    421,
    'Misdirected Request',
    'This is another host',
    'The request names a different host than this connection.',
  ),
  tooLarge: page(
    431,
    'Request Header Fields Too Large',
    'Header too large',
    'The header fields are too many or too long.',
  ),
  notImplemented: page(
    501,
    'Not Implemented',
    'Not implemented',
    'The only supported transfer coding is chunked.',
  ),
  unknownMethod: page(
    501,
    'Not Implemented',
    'Unknown method',
    'HTTP/1.1 forwards only methods that the parser knows. HTTP/2 forwards all methods.',
  ),
  tooMuchAnswered: page(
    502,
    'Bad Gateway',
    'The response header is too large',
    'The response has more than 200 header fields, or more than 32 KiB of them.',
  ),
  badGateway: page(
    502,
    'Bad Gateway',
    'The service sent an invalid response',
    'Its connection broke, or its response is not valid HTTP.',
  ),
  busy: page(
    503,
    'Service Unavailable',
    'Too many requests at once',
    'The service is busy. Try again in a moment.',
    3,
  ),
  silent: page(
    504,
    'Gateway Timeout',
    'The service does not answer',
    'It accepted the request, but the response timed out.',
  ),
  version: page(
    505,
    'HTTP Version Not Supported',
    'Unsupported version of HTTP',
    'The supported versions are HTTP/1.0, HTTP/1.1 and HTTP/2.',
  ),
} as const;

/** A page as the bytes of an HTTP/1.1 response, the last on its connection. */
export function rawPage({ status, reason, headers, body }: Page, headOnly = false): string {
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${headOnly ? '' : body}`;
}
