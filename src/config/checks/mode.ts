import type { Mode } from '../../agent/spec.js';
import { child, itemsOf, textOf, type Tree } from '../text/tree.js';

const MODES: readonly Mode[] = ['auto', 'stream', 'http', 'tcp', 'udp'];
/** The protocols of services whose requests Portal reads. */
const HTTP_ALPN: readonly string[] = ['h2', 'http/1.1'];

export const isHttpAlpn = (protocol: string): boolean => HTTP_ALPN.includes(protocol);

/** The settings that determine a service's mode. */
export interface ModeHints {
  readonly mode?: Mode | undefined;
  readonly routes?: unknown;
  readonly proxyProtocol?: unknown;
  readonly alpn?: readonly string[] | undefined;
}

/**
 * The mode of a service: as written, or derived from its other settings. Routes require that Portal reads requests. A
 * PROXY header and protocols other than HTTP require that it forwards bytes unchanged.
 */
export function modeOf(hints: ModeHints): Mode {
  const { mode } = hints;
  if (mode !== undefined && mode !== 'auto') return mode;
  const key = decidingKey(hints);
  return key === undefined ? 'auto' : key === 'routes' ? 'http' : 'stream';
}

function decidingKey({
  routes,
  proxyProtocol,
  alpn,
}: ModeHints): 'routes' | 'proxyProtocol' | 'alpn' | undefined {
  if (routes !== undefined) return 'routes';
  if (proxyProtocol !== undefined) return 'proxyProtocol';
  return alpn?.some((protocol) => !isHttpAlpn(protocol)) ? 'alpn' : undefined;
}

/** The same for a service as written in the file; undefined if its `mode` is invalid. */
export function modeOfTree(service: Tree): { readonly mode: Mode; readonly why: string } | undefined {
  const text = textOf(child(service, 'mode'));
  const written = MODES.find((each) => each === text);
  if (text !== undefined && !written) return undefined;
  const hints: ModeHints = {
    mode: written,
    routes: child(service, 'routes'),
    proxyProtocol: child(service, 'proxyProtocol'),
    alpn: itemsOf(child(service, 'alpn')).flatMap((item) => textOf(item) ?? []),
  };
  const mode = modeOf(hints);
  const key = mode === written ? undefined : decidingKey(hints);
  if (key !== undefined) return { mode, why: ` because of its \`${key}\`` };
  return { mode, why: written === undefined ? ', the default' : '' };
}
