import type { Finding } from './finding.js';
import { finding } from './finding.js';
import { child, entriesOf, keyPlaceOf, textOf, type Tree } from './tree.js';

/** A program whose configuration `portal init --from` converts. */
export type ForeignProgram = 'ngrok' | 'cloudflared' | 'compose' | 'frp';

export const FOREIGN_NAMES: Readonly<Record<ForeignProgram, string>> = {
  ngrok: 'ngrok',
  cloudflared: 'cloudflared',
  compose: 'Docker Compose',
  frp: 'frp',
};

/** Keys that identify a service of Docker Compose. */
const COMPOSE_KEYS = ['image', 'build'];

/** The program that a configuration was written for, by its keys; undefined for one of Portal, even with mistakes. */
export function foreignProgram(root: Tree): { program: ForeignProgram; key: string } | undefined {
  if (root.kind === 'scalar' && /^(?:serverAddr\s*=|\[common\]|\[\[proxies)/m.test(textOf(root) ?? ''))
    return { program: 'frp', key: '' };
  const has = (...keys: string[]): string | undefined => keys.find((key) => child(root, key));
  const tunnels = child(root, 'tunnels');
  const ngrok = has('endpoints', 'authtoken') ?? (isNgrokTunnels(tunnels) ? 'tunnels' : undefined);
  if (ngrok && !child(root, 'services')) return { program: 'ngrok', key: ngrok };
  const cloudflared = has('ingress') ?? (child(root, 'tunnel') && has('url', 'credentials-file'));
  if (cloudflared) return { program: 'cloudflared', key: cloudflared };
  const frp = has('serverAddr', 'proxies');
  if (frp && !child(root, 'services')) return { program: 'frp', key: frp };
  for (const [, { value }] of entriesOf(child(root, 'services'))) {
    if (!child(value, 'target') && COMPOSE_KEYS.some((key) => child(value, key)))
      return { program: 'compose', key: 'services' };
  }
  return undefined;
}

/** One problem for the whole file, instead of one for each unknown key. */
export function foreignFinding(root: Tree, file: string): Finding | undefined {
  const found = foreignProgram(root);
  if (!found) return undefined;
  const name = FOREIGN_NAMES[found.program];
  return finding(root, found.key === '' ? [] : [found.key], {
    message: `this is a configuration of ${name}, not of Portal`,
    hint: `Run \`portal init --from ${file}\` to convert it to a portal.yaml.`,
    place: keyPlaceOf(root, found.key),
  });
}

function isNgrokTunnels(tunnels: Tree | undefined): boolean {
  return [...entriesOf(tunnels)].some(
    ([, { value }]) => child(value, 'addr') || textOf(child(value, 'proto')),
  );
}
