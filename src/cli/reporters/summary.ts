import type { PortalEvent } from '../../reconcile/events.js';
import type { Output } from '../output.js';
import { createStyle } from '../style.js';
import { shellQuote } from '../../identity/private-file.js';
import { addressRows } from './describe.js';

type Ready = Extract<PortalEvent, { event: 'ready' }>;

/** Where everything is: addresses on stdout, for pipes too; how to reach them on stderr. */
export function writeSummary(
  outputs: { stdout: Output; stderr: Output },
  ready: Ready,
  caFile: string | undefined,
): void {
  const { stdout, stderr } = outputs;
  const rows = addressRows(ready.services);
  const bold = createStyle(stdout.color).bold;
  const width = stdout.isTTY ? Math.max(0, ...rows.map(({ service }) => service.length)) : 0;
  for (const { service, address } of rows) stdout.line(`${bold(service.padEnd(width))} ${address}`);
  const url = rows.find(({ address }) => address.startsWith('https:'))?.address;
  if (caFile === undefined || url === undefined) return;
  const { dim } = createStyle(stderr.color);
  stderr.line(dim(`certificates are of your local CA: ${caFile} (browsers: portal trust)`));
  stderr.line(dim(`try: curl --cacert ${shellQuote(caFile)} ${url}`));
}
