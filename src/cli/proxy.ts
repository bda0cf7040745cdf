import { getProxyForUrl } from 'proxy-from-env';

/** The HTTP proxy that the environment wants for `url` (HTTPS_PROXY, ALL_PROXY, NO_PROXY). */
export function proxyFor(url: string): string | undefined {
  const proxy = getProxyForUrl(url);
  // Any other kind of proxy is meant for programs that speak it.
  return /^https?:\/\//i.test(proxy) && URL.canParse(proxy) ? proxy : undefined;
}
