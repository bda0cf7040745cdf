import { FORM_POLICY, htmlPage } from '../pages/page-style.js';
import { OWN_HEADERS, page, realmOf, type Page } from '../pages/page.js';
import { OIDC_PATHS } from './kinds.js';

/** The pages of the gate for accounts of an OpenID Connect provider. */

const AGAIN = { href: '/', text: 'Sign in again' } as const;
const LOGS = '`portal logs` shows the reason.';

/** For requests that cannot be redirected to the provider: of programs and scripts. */
export function signInRequired(service: string): Page {
  const asks = page(401, 'Unauthorized', 'sign_in_required', {
    title: 'Sign in',
    text: 'This service requires that you sign in. Open this address in a browser.',
    link: { href: '/', text: 'Sign in' },
  });
  // A 401 must name its authentication scheme (RFC 9110, section 15.5.2). Browsers ignore unknown schemes.
  return {
    ...asks,
    headers: [...asks.headers, 'WWW-Authenticate', `Portal-Oidc realm="${realmOf(service)}"`],
  };
}

/** @param account the address or the identifier of the visitor */
export const accountDenied = (account: string): Page =>
  page(403, 'Forbidden', 'account_denied', {
    title: 'Your account is not allowed',
    text: `You signed in as ${account}. Ask the owner of this service to allow this account.`,
    owner:
      'Add the account to `access.oidc.allow` in `portal.yaml`. An e-mail address counts only if the provider has verified it.',
    link: { href: OIDC_PATHS.signIn, text: 'Use another account' },
  });

/** @param host the provider's; `reloads`: the page may be requested again */
export const providerDown = (host: string, reloads: boolean): Page =>
  page(503, 'Service Unavailable', 'provider_down', {
    title: 'Signing in is not possible now',
    text: `${host}, where you sign in, does not respond.`,
    owner: LOGS,
    ...(reloads ? { retryAfterS: 5 } : { link: AGAIN }),
  });

export const SIGN_IN_PAGES = {
  expired: page(400, 'Bad Request', 'sign_in_expired', {
    title: 'This sign-in has expired',
    text: 'It took more than 10 minutes, began in another browser, or the settings of this service have changed.',
    link: AGAIN,
  }),
  rejected: page(403, 'Forbidden', 'sign_in_rejected', {
    title: 'Signing in did not work',
    text: 'The provider did not confirm who you are.',
    owner: LOGS,
    link: AGAIN,
  }),
  signedOut: page(200, 'OK', 'signed_out', {
    label: 'Sign out',
    title: 'Signed out',
    text: 'This browser can no longer visit the service. You may still be signed in at the provider.',
    link: AGAIN,
  }),
  crossSite: page(403, 'Forbidden', 'sign_out_elsewhere', {
    title: 'Not signed out',
    text: 'Another site sent this request.',
    link: { href: OIDC_PATHS.signOut, text: 'Sign out' },
  }),
} as const;

/** Asks whether to sign out, because other sites can link here. */
export const signOutPage = (service: string): Page => ({
  status: 200,
  reason: 'OK',
  code: 'sign_out',
  title: 'Sign out',
  headers: OWN_HEADERS,
  html: htmlPage({
    label: 'Sign out',
    title: service,
    text: 'Sign this browser out of the service?',
    form: `\n<form method="post" action="${OIDC_PATHS.signOut}"><button>Sign out</button></form>`,
  }),
  htmlHeaders: FORM_POLICY,
  text: `Send a POST request to ${OIDC_PATHS.signOut} to sign out.`,
});
