import { listOf } from '../../config/words/suggest.js';
import type { Logger } from '../../lib/logger.js';
import { scalar } from '../../lib/relay-yaml.js';
import { formatAddress } from '../../net/listen/listen-error.js';
import type { Relay } from '../../relay/relay.js';
import type { Context } from '../context.js';
import { printEvent } from '../print.js';

/** The listening relay, and what its operator has to know. */
export interface Listening {
  readonly relay: Pick<Relay, 'url' | 'address' | 'domain' | 'addresses' | 'httpRedirect' | 'descriptor'>;
  /** The file of the local CA, if it issued the certificate of the relay. */
  readonly ca: string | undefined;
  /** URL of the metrics. */
  readonly metrics: string | undefined;
}

/** Prints where a relay listens, and what agents write in portal.yaml to use it. */
export function reportListening(context: Context, { relay, ca, metrics }: Listening): void {
  const { url, domain } = relay;
  const addresses = relay.addresses.map(formatAddress);
  const httpRedirect = relay.httpRedirect.map(formatAddress);
  if (context.json) {
    const redirect = httpRedirect.length > 0 && { httpRedirect };
    const more = { ...redirect, ...(ca !== undefined && { ca }), ...(metrics !== undefined && { metrics }) };
    return printEvent(context, 'listening', { url, domain, addresses, ...more });
  }
  context.stdout.data(url);
  const { stderr } = context;
  // Without a terminal, stderr is for the log, in JSON lines.
  if (!stderr.isTTY) return;
  stderr.note(`agents get names below ${domain}; press Ctrl-C to stop`);
  stderr.note(`listens on ${listOf(addresses, 'and')} with the key ${relay.address}`);
  stderr.note(modesLine(relay.descriptor.capabilities));
  if (httpRedirect.length > 0)
    stderr.note(`http://${domain} and names below it redirect to https (${httpRedirect.join(', ')})`);
  if (metrics !== undefined) stderr.note(`metrics at ${metrics}`);
  stderr.note(
    ca === undefined ? 'agents write in portal.yaml:' : 'agents on this machine write in portal.yaml:',
  );
  stderr.note();
  // A line that breaks would no longer be YAML.
  if (!stderr.isQuiet) stderr.data(yamlFor(url, ca));
  stderr.note();
  if (ca !== undefined)
    stderr.note(
      'The local CA issued the certificate. For agents on other machines, copy the CA file there and write its path.',
    );
}

/** The lines of portal.yaml that use the relay, as short as they can be. */
function yamlFor(url: string, ca: string | undefined): string {
  const relays =
    ca === undefined
      ? [`relays: { urls: [${url}] }`]
      : ['relays:', '  urls:', `    - url: ${scalar(url)}`, `      ca: ${scalar(ca)}`];
  return relays.join('\n');
}

/** The same for the log. */
export function logListening(log: Logger, { relay, metrics }: Listening): void {
  const { url, address: identity } = relay;
  const addresses = relay.addresses.map(formatAddress);
  const httpRedirect = relay.httpRedirect.map(formatAddress);
  log.info(
    {
      url,
      identity,
      addresses,
      ...(httpRedirect.length > 0 && { httpRedirect }),
      ...(metrics !== undefined && { metrics }),
    },
    'relay listening',
  );
}

/** The modes that the relay offers, and the flags that add the others. */
export function modesLine(capabilities: readonly string[]): string {
  const others = (['tcp', 'udp'] as const).filter((mode) => !capabilities.includes(mode));
  const flags = others.map((mode) => `--${mode}-ports`).join(' and ');
  const names = others.map((mode) => mode.toUpperCase()).join(' and ');
  const served = servedText(capabilities.filter((each) => each !== 'hostname'));
  return `serves ${listOf(served, 'and')}${others.length > 0 ? `; for ${names} ports, add ${flags}` : ''}`;
}

/** What a relay with these capabilities serves, in words. Capabilities that every relay has are not in the list. */
export const servedText = (capabilities: readonly string[]): string[] =>
  Object.entries(SERVED).flatMap(([capability, text]) => (capabilities.includes(capability) ? [text] : []));

const SERVED: Readonly<Record<string, string>> = {
  http: 'HTTPS',
  stream: 'other TLS',
  tcp: 'TCP ports',
  udp: 'UDP ports',
  hostname: 'own domains',
};
