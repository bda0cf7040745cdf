import { escapeHtml, OWN_HEADERS, type Page } from '../pages.js';

/** Where the page's form posts to. Reserved for Portal while a PIN is set. */
export const PIN_PATH = '/__portal/pin';
/** The header in which programs send the PIN. */
export const PIN_HEADER = 'portal-pin';

export interface PinPage {
  readonly service: string;
  /** Where the visitor wanted to go: a path on this host. */
  readonly to: string;
  /** The outcome of the last attempt. */
  readonly outcome?: 'wrong' | 'wait';
  /** Whole seconds until the next attempt. */
  readonly waitS?: number;
}

const PAGE_HEADERS = [
  ...OWN_HEADERS,
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'Referrer-Policy',
  'no-referrer',
] as const;

/** The page with the PIN form. It has no script, loads nothing, and shows only the service's name. */
export function pinPage({ service, to, outcome, waitS }: PinPage): Page {
  const words = outcome && wordsFor(outcome, waitS);
  const alert = words === undefined ? '' : `<p id="alert" role="alert">${escapeHtml(words)}</p>\n`;
  const described = alert === '' ? '' : ' aria-describedby="alert" aria-invalid="true"';
  const body = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">
<title>${escapeHtml(service)}: PIN</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:18vh auto 0;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem}
label{display:block;margin:1.25rem 0 .25rem;font-weight:600}
input,button{font:inherit;box-sizing:border-box;width:100%;padding:.6rem .75rem;border-radius:.4rem;border:1px solid GrayText}
button{margin-top:.75rem;border:0;background:#1d4ed8;color:#fff;font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid #60a5fa;outline-offset:2px}
#alert{margin:1rem 0 0;padding:.6rem .75rem;border-left:4px solid #dc2626;background:color-mix(in srgb,#dc2626 12%,Canvas)}
</style>
<main>
<h1>${escapeHtml(service)}</h1>
<p>The person who shared this page gave you its PIN.</p>
${alert}<form method="post" action="${PIN_PATH}">
<input type="hidden" name="to" value="${escapeHtml(to)}">
<label for="pin">PIN</label>
<input id="pin" name="pin" type="password" required autofocus autocomplete="current-password" maxlength="128"${described}>
<button>Continue</button>
</form>
</main>
</html>
`;
  return outcome === 'wait'
    ? { status: 429, reason: 'Too Many Requests', headers: [...PAGE_HEADERS, ...retryAfter(waitS)], body }
    : { status: 401, reason: 'Unauthorized', headers: [...PAGE_HEADERS, ...wanted(service)], body };
}

/** The same for programs, as one line of text. */
export function pinText(service: string, outcome: PinPage['outcome'], waitS?: number): Page {
  const headers = ['Content-Type', 'text/plain; charset=utf-8', ...OWN_HEADERS.slice(2)];
  const how = `Send it as \`${PIN_HEADER}\`, or open this address in a browser.`;
  const body = `${outcome ? wordsFor(outcome, waitS) : `This service requires a PIN. ${how}`}\n`;
  return outcome === 'wait'
    ? { status: 429, reason: 'Too Many Requests', headers: [...headers, ...retryAfter(waitS)], body }
    : { status: 401, reason: 'Unauthorized', headers: [...headers, ...wanted(service)], body };
}

function wordsFor(outcome: 'wrong' | 'wait', waitS = 0): string {
  if (outcome === 'wrong') return 'Wrong PIN.';
  const time = waitS < 120 ? `${waitS} seconds` : `${Math.ceil(waitS / 60)} minutes`;
  return `Too many wrong PINs. Try again in ${time}.`;
}

const retryAfter = (waitS = 1): string[] => ['Retry-After', String(waitS)];
/** A 401 must name its scheme (RFC 9110 §15.5.2). Browsers ignore unknown schemes and show the page. */
const wanted = (service: string): string[] => [
  'WWW-Authenticate',
  `Portal-Pin realm="${service.replace(/[^\w .-]/g, '')}"`,
];
