import { allHeld, type HeldRequest } from '../../agent/hold/store.js';
import { formatBytes, formatWait, timeText } from '../text/amounts.js';
import { fitColumns } from '../text/columns.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { ownIdentity } from '../identity-file.js';
import { printEvent } from '../print.js';
import { configOf } from '../request-history.js';
import { createStyle, printable, type Style } from '../text/style.js';

interface Options {
  readonly service?: readonly string[];
  readonly all?: true;
  readonly file?: string;
}

type Held = HeldRequest & { readonly source: string };

const MAX_PATH_CHARS = 200;
/** What a narrow terminal does not show, first to last. */
const OPTIONAL = ['SIZE', 'ROUTE', 'SERVICE', 'HELD SINCE'];
const MIN_PATH_CHARS = 16;

/** Reads them from disk, so it needs no running agent. */
export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const own = await ownIdentity(context, options.file);
  const config = options.all ? undefined : await configOf(context, options.file);
  const { held, damaged } = own
    ? await allHeld(context.paths.heldDir, own.identity)
    : { held: [], damaged: 0 };
  const here = config ? held.filter(({ source }) => source === config.path) : held;
  const shown = here.filter(({ service }) => options.service?.includes(service) ?? true);
  if (context.json) for (const each of shown) printEvent(context, 'held_request', plain(each));
  else
    for (const line of describe(shown, createStyle(context.stdout.color), Date.now(), context.stdout.columns))
      context.stdout.line(line);
  if (shown.length === 0) context.stderr.note(whyEmpty(held.length, config?.shown));
  if (damaged > 0)
    context.stderr.note(
      'Some held requests are damaged and not shown. The agent reports them when it starts.',
    );
  return 0;
}

/** Without header fields, which may have secrets. */
function plain(held: Held): object {
  const { id, source, service, route, heldAt, until, method, target, authority, remote, bodyBytes } = held;
  return {
    id,
    source,
    service,
    route,
    heldAt: new Date(heldAt).toISOString(),
    until: new Date(until).toISOString(),
    method,
    target,
    authority,
    remote,
    bodyBytes,
  };
}

function describe(held: readonly Held[], style: Style, now: number, width: number): string[] {
  if (held.length === 0) return [];
  const table = [
    ['ID', 'HELD SINCE', 'EXPIRES', 'SERVICE', 'ROUTE', 'SIZE', 'PATH'],
    ...held.map(({ id, heldAt, until, service, route, bodyBytes, target }) => [
      id,
      timeText(heldAt, now),
      until <= now ? 'now' : `in ${formatWait(until - now)}`,
      printable(service),
      printable(route),
      formatBytes(bodyBytes),
      printable(target.length > MAX_PATH_CHARS ? `${target.slice(0, MAX_PATH_CHARS - 1)}…` : target),
    ]),
  ];
  const [header, ...lines] = fitColumns(table, { optional: OPTIONAL, width, cutsLastTo: MIN_PATH_CHARS });
  return [style.dim(header!), ...lines];
}

function whyEmpty(others: number, config: string | undefined): string {
  if (others === 0 || config === undefined) return 'No requests are held.';
  return `No requests of ${printable(config)} are held. Use --all to show those of other configurations.`;
}
