import { search, type FoundRow, type Wanted } from '../../agent/inspect/history/search.js';
import { idText } from '../../agent/inspect/history/ids.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { columns } from '../columns.js';
import { printEvent } from '../print.js';
import { msText, ownHistory, plainRow, statusText, timeText } from '../request-history.js';
import { createStyle, printable, type Style } from '../style.js';
import { formatBytes } from '../amounts.js';

interface Options {
  readonly service?: readonly string[];
  readonly status?: readonly string[];
  readonly since?: number;
  readonly method?: readonly string[];
  readonly search?: string;
  readonly limit: number;
  readonly file?: string;
}

const MAX_METHOD_CHARS = 16;
const MAX_PATH_CHARS = 200;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const now = Date.now();
  const wanted = wantedBy(options);
  const history = await ownHistory(context, options.file);
  const found = history
    ? await search(history.folder, wanted, options.limit, now)
    : { rows: [], isPart: false, damaged: 0 };
  const rows = found.rows.toReversed();
  if (context.json) for (const row of rows) printEvent(context, 'request', plainRow(row));
  else for (const line of describe(rows, createStyle(context.stdout.color), now)) context.stdout.line(line);
  for (const note of notes(found, rows.length, Object.keys(wanted).length > 0)) context.stderr.note(note);
  return 0;
}

function wantedBy({ service, status, since, method, search: text }: Options): Wanted {
  return {
    ...(service && { services: service }),
    ...(status && { statuses: status }),
    ...(method && { methods: method.map((each) => each.toUpperCase()) }),
    ...(since !== undefined && { since }),
    ...(text !== undefined && { text }),
  };
}

function describe(rows: readonly FoundRow[], style: Style, now: number): string[] {
  if (rows.length === 0) return [];
  const [header, ...lines] = columns([
    ['ID', 'TIME', 'SERVICE', 'METHOD', 'STATUS', 'TOOK', 'SIZE', 'PATH'],
    ...rows.map((row) => [
      idText(row.id),
      timeText(row.startedAt, now),
      printable(row.service),
      clipped(row.method, MAX_METHOD_CHARS),
      statusText(row),
      msText(row.totalMs),
      formatBytes(row.responseBytes),
      clipped(row.target, MAX_PATH_CHARS),
    ]),
  ]);
  return [style.dim(header!), ...lines.map((line, index) => paint(style, rows[index]!, line))];
}

/** Visitors choose methods and paths, which may be as long as a header. --json has all of it. */
function clipped(text: string, max: number): string {
  return printable(text.length > max ? `${text.slice(0, max - 1)}…` : text);
}

function paint(style: Style, { status = 0, outcome }: FoundRow, line: string): string {
  if (status >= 500 || outcome === 'broken') return style.red(line);
  return status >= 400 ? style.yellow(line) : line;
}

function notes(
  { isPart, damaged }: { isPart: boolean; damaged: number },
  count: number,
  isFiltered: boolean,
): string[] {
  const empty = isFiltered
    ? 'No recorded request matches.'
    : 'No requests recorded yet. Set `inspect: true` on an http service.';
  return [
    ...(count === 0 ? [empty] : []),
    ...(isPart ? [`Showing the latest ${count}. Use --limit to show more.`] : []),
    ...(damaged > 0 ? ['Some recorded requests are damaged and not shown.'] : []),
  ];
}
