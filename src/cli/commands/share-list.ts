import type { ShareRecord } from '../../agent/access/share/store.js';
import { formatAgo, utcText } from '../text/amounts.js';
import { fitColumns } from '../text/columns.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { ownShares } from '../own-shares.js';
import { printEvent } from '../print.js';
import { createStyle, printable } from '../text/style.js';

interface Options {
  readonly file?: string;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const now = Date.now();
  const own = await ownShares(context, options.file);
  const links = (await own?.store.list(now)) ?? [];
  if (context.json) for (const link of links) printEvent(context, 'share', link);
  else for (const line of describe(links, context, now)) context.stdout.line(line);
  if (links.length === 0) context.stderr.note('No share links. `portal share SERVICE` creates one.');
  return 0;
}

/** What a narrow terminal does not show, first to last. */
const OPTIONAL = ['CREATED', 'ADDRESS'];

function describe(links: readonly ShareRecord[], { stdout }: Context, now: number): string[] {
  if (links.length === 0) return [];
  const style = createStyle(stdout.color);
  const rows = links.map(({ id, service, urls, issuedAt, until, revokedAt }) => [
    id,
    printable(service),
    revokedAt === undefined ? `until ${utcText(Date.parse(until))}` : 'revoked',
    formatAgo(now - Date.parse(issuedAt)),
    urls.map((url) => printable(url)).join(' '),
  ]);
  const [header, ...lines] = fitColumns([['ID', 'SERVICE', 'STATE', 'CREATED', 'ADDRESS'], ...rows], {
    optional: OPTIONAL,
    width: stdout.columns,
  });
  return [
    style.dim(header!),
    ...lines.map((line, i) => (links[i]!.revokedAt === undefined ? line : style.dim(line))),
  ];
}
