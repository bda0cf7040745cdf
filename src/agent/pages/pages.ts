import { page, type Page } from './page.js';

/** The pages for visitors whose request Portal cannot or may not forward. */

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
