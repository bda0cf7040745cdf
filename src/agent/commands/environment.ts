import type { Target } from '../../net/target/target.js';

/** The public URLs of each service, the first relay's first. */
export type ServiceUrls = ReadonlyMap<string, readonly string[]>;

/** The service that a program serves. */
export interface ServedBy {
  readonly service: string;
  readonly target: Target;
}

/**
 * What a program gets to know: `PORTAL_URL_NAME` for each service with a known URL. For the program behind a service also
 * its `PORTAL_URL`, the `PORT` of its target, and the names that Vite should accept.
 */
export function portalVariables(urls: ServiceUrls, own?: ServedBy): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [service, [url]] of urls) {
    const name = urlVariable(service);
    if (url !== undefined) variables[name] ??= url;
  }
  if (!own) return variables;
  const [url] = urls.get(own.service) ?? [];
  if (url !== undefined) variables['PORTAL_URL'] = url;
  if (own.target.kind === 'tcp' && own.target.port !== 0) variables['PORT'] = String(own.target.port);
  const hosts = hostsOf(urls.get(own.service) ?? []);
  if (hosts.length > 0) variables['__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS'] = hosts.join(',');
  return variables;
}

/** `PORTAL_URL_MY_APP` for `my-app`. */
function urlVariable(service: string): string {
  return `PORTAL_URL_${service.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

/** The hostnames of URLs that browsers open, each once. */
const hostsOf = (urls: readonly string[]): string[] => [
  ...new Set(urls.filter((url) => url.startsWith('https:')).map((url) => new URL(url).hostname)),
];
