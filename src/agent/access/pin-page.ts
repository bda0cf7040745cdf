import { escapeHtml, FORM_POLICY, htmlPage } from '../pages/page-style.js';
import { OWN_HEADERS, realmOf, type Page } from '../pages/page.js';
import { PIN_PATH } from './kinds.js';

const SHOWN_HEADER = 'Portal-Pin';

export interface PinPage {
  readonly service: string;
  /** The path on this host that the visitor requested. */
  readonly to: string;
  /** The result of the last attempt. */
  readonly outcome?: 'wrong' | 'wait';
  /** Whole seconds until the next attempt. */
  readonly waitS?: number;
}

// With `no-referrer`, a browser would send its form with `Origin: null`.
const HTML_HEADERS = [...FORM_POLICY, 'Referrer-Policy', 'same-origin'];

const CODES = { asked: 'pin_required', wrong: 'pin_wrong', wait: 'pin_wait' } as const;

/** The page with the PIN form. It shows only the service's name. */
export function pinPage({ service, to, outcome, waitS }: PinPage): Page {
  const isWait = outcome === 'wait';
  const words = outcome && wordsFor(outcome, waitS);
  const [status, reason] = isWait ? ([429, 'Too Many Requests'] as const) : ([401, 'Unauthorized'] as const);
  const how = `Send the PIN in the header \`${SHOWN_HEADER}\`, or open this address in a browser.`;
  return {
    status,
    reason,
    code: CODES[outcome ?? 'asked'],
    title: words ?? 'PIN required',
    headers: [...OWN_HEADERS, ...(isWait ? ['Retry-After', String(waitS ?? 1)] : wanted(service))],
    html: htmlPage({
      label: 'PIN required',
      title: service,
      text: 'Enter the PIN that came with this address.',
      form: form(to, words),
      owner: '`access.pin` in `portal.yaml` sets the PIN.',
    }),
    htmlHeaders: HTML_HEADERS,
    text: words ?? `This service requires a PIN. ${how}`,
  };
}

function form(to: string, alert: string | undefined): string {
  const shown = alert === undefined ? '' : `\n<p id="alert" role="alert">${escapeHtml(alert)}</p>`;
  const described = alert === undefined ? '' : ' aria-describedby="alert" aria-invalid="true"';
  return `${shown}
<form method="post" action="${PIN_PATH}">
<input type="hidden" name="to" value="${escapeHtml(to)}">
<label for="pin">PIN</label>
<input id="pin" name="pin" type="password" required autofocus autocomplete="current-password" maxlength="128"${described}>
<button>Continue</button>
</form>`;
}

function wordsFor(outcome: 'wrong' | 'wait', waitS = 0): string {
  if (outcome === 'wrong') return 'Wrong PIN.';
  const time = waitS < 120 ? `${waitS} seconds` : `${Math.ceil(waitS / 60)} minutes`;
  return `Too many wrong PINs. Try again in ${time}.`;
}

/**
 * A 401 must name its authentication scheme (RFC 9110 §15.5.2). Browsers ignore unknown schemes and show the page.
 */
const wanted = (service: string): string[] => [
  'WWW-Authenticate',
  `${SHOWN_HEADER} realm="${realmOf(service)}"`,
];
