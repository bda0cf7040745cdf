import type { PortalEvent } from '../../reconcile/events.js';
import { shellQuote } from '../../lib/private-file.js';
import type { Output } from '../output.js';
import { createStyle } from '../style.js';
import { addressRows } from './describe.js';

type Ready = Extract<PortalEvent, { event: 'ready' }>;

/** Every address on stdout, `service address`, for pipes and people alike. */
export function writeAddresses(stdout: Output, ready: Ready): void {
  const { bold } = createStyle(stdout.color);
  for (const { service, address } of addressRows(ready.services)) stdout.line(`${bold(service)} ${address}`);
}

/** Services that are open, and that nobody has seen a visitor get through to. */
export function writeUnproven(stderr: Output, { unproven }: Ready): void {
  if (!unproven) return;
  const { yellow } = createStyle(stderr.color);
  stderr.line(yellow(`unproven: ${unproven.join(', ')}; \`portal status\` says why`));
}

/** How to get through where the certificates are not a public CA's. */
export function writeHowToReach(stderr: Output, ready: Ready, caFile: string | undefined): void {
  const url = addressRows(ready.services).find(({ address }) => address.startsWith('https:'))?.address;
  if (caFile === undefined || url === undefined) return;
  const { dim } = createStyle(stderr.color);
  stderr.line(dim(`certificates are of your local CA: ${caFile} (browsers: portal trust)`));
  stderr.line(dim(`try: curl --cacert ${shellQuote(caFile)} ${url}`));
}
