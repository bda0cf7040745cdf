import { GATE_FIELDS } from '../../access/kinds.js';

/**
 * Request header fields that visitors may never send, because some targets trust them: proxies set them, or they
 * override a decision of Portal. A route may set any of them.
 */

/** Names that every program reads in the same way. nginx also forwards only these. */
const PLAIN_NAME = /^[a-z0-9-]+$/;

const NAMES = new Set([
  // The visitor's address.
  'forwarded',
  'forwarded-for',
  'x-forwarded',
  'x-original-forwarded-for',
  'via',
  'client-ip',
  'clientip',
  'x-client-ip',
  'x-clientip',
  'x-real-ip',
  'x-real-port',
  'true-client-ip',
  'x-true-client-ip',
  'x-cluster-client-ip',
  'x-originating-ip',
  'x-source-ip',
  'proxy-client-ip',
  'wl-proxy-client-ip',
  'x-proxyuser-ip',
  'cf-pseudo-ipv4',
  'fastly-client-ip',
  'fly-client-ip',
  'do-connecting-ip',
  'incap-client-ip',
  'x-sucuri-clientip',
  'x-nf-client-connection-ip',
  'x-vercel-forwarded-for',
  'x-appengine-user-ip',
  'x-appengine-remote-addr',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-envoy-external-address',
  'ali-cdn-real-ip',
  'cdn-src-ip',
  // The scheme and host that the visitor requested.
  'front-end-https',
  'x-url-scheme',
  'x-scheme',
  'x-host',
  'x-original-host',
  'x-http-host-override',
  'cloudfront-forwarded-proto',
  'cf-visitor',
  // Replace the path or the method in some frameworks, and so bypass the routes.
  'x-original-url',
  'x-original-uri',
  'x-original-method',
  'x-rewrite-url',
  'x-envoy-original-path',
  'x-script-name',
  'script-name',
  'path-info',
  // The visitor's identity or its TLS certificate.
  'client-cert',
  'client-cert-chain',
  'x-client-dn',
  'x-client-verify',
  'x-arr-clientcert',
  'x-arr-ssl',
  'x-authenticated-user',
  'x-authenticated-userid',
  'x-goog-iap-jwt-assertion',
  'cf-access-authenticated-user-email',
  'cf-access-jwt-assertion',
  'iv-user',
  'iv-groups',
  'iv-creds',
  'sm-user',
  'auth-type',
  // The files that a server in front may send (Rack).
  'x-sendfile-type',
  'x-accel-mapping',
  // Becomes the environment variable HTTP_PROXY behind CGI.
  'proxy',
  // For Portal itself.
  ...GATE_FIELDS,
]);

const PREFIXES = [
  'x-forwarded-',
  // Set by gates.
  'x-portal-',
  'cf-connecting-',
  'remote-',
  'x-remote-',
  'x-ssl-',
  'ssl-client-',
  'x-client-cert',
  'x-amzn-mtls-',
  'x-amzn-oidc-',
  'x-auth-request-',
  'x-webauth-',
  'x-goog-authenticated-user-',
  'x-ms-client-principal',
  'x-authentik-',
  'x-pomerium-',
  'tailscale-user-',
  'oidc-claim-',
];

/**
 * `name` in lower case. Names with `_` or another sign are always dropped. Behind CGI and WSGI, `X_Auth` and `X-Auth` are
 * the same, and `SCRIPT_NAME` is the start of the path.
 */
export function isForbiddenField(name: string): boolean {
  return !PLAIN_NAME.test(name) || NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
}
