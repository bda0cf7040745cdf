import { search, type FoundRow, type Wanted } from '../../agent/inspect/history/search.js';
import { idText } from '../../agent/inspect/history/ids.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { fitColumns } from '../text/columns.js';
import { printEvent } from '../print.js';
import { configOf, flushRunning, msText, ownHistory, plainRow, statusText } from '../request-history.js';
import { createStyle, printable, type Style } from '../text/style.js';
import { timeText, formatBytes } from '../text/amounts.js';

interface Options {
  readonly service?: readonly string[];
  readonly status?: readonly string[];
  readonly since?: number;
  readonly method?: readonly string[];
  readonly search?: string;
  readonly limit: number;
  readonly all?: true;
  readonly file?: string;
}

const MAX_METHOD_CHARS = 16;
const MAX_PATH_CHARS = 200;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const now = Date.now();
  const history = await ownHistory(context, options.file);
  const isRecording = history !== undefined && (await flushRunning(context, history));
  const config = options.all ? undefined : await configOf(context, options.file);
  const wanted = wantedBy(options);
  const here = config ? { ...wanted, source: config.path } : wanted;
  const found = history
    ? await search(history.folder, here, options.limit, now)
    : { rows: [], isPart: false, damaged: 0 };
  const hasOthers =
    config !== undefined &&
    history !== undefined &&
    found.rows.length === 0 &&
    (await search(history.folder, wanted, 1, now)).rows.length > 0;
  const rows = found.rows.toReversed();
  if (context.json) for (const row of rows) printEvent(context, 'request', plainRow(row));
  else
    for (const line of describe(rows, createStyle(context.stdout.color), now, context.stdout.columns))
      context.stdout.line(line);
  const view = {
    ...found,
    count: rows.length,
    isFiltered: Object.keys(wanted).length > 0,
    isRecording,
    othersThan: hasOthers ? config.shown : undefined,
  };
  for (const note of notes(view)) context.stderr.note(note);
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

/** What a narrow terminal does not show, first to last. */
const OPTIONAL = ['SIZE', 'TOOK', 'SERVICE', 'TIME'];
const MIN_PATH_CHARS = 16;

function describe(rows: readonly FoundRow[], style: Style, now: number, width: number): string[] {
  if (rows.length === 0) return [];
  const table = [
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
  ];
  const [header, ...lines] = fitColumns(table, { optional: OPTIONAL, width, cutsLastTo: MIN_PATH_CHARS });
  return [style.dim(header!), ...lines.map((line, index) => paint(style, rows[index]!, line))];
}

/** Visitors choose methods and paths, which may be as long as a header. `--json` prints all of it. */
function clipped(text: string, max: number): string {
  return printable(text.length > max ? `${text.slice(0, max - 1)}…` : text);
}

function paint(style: Style, { status = 0, outcome }: FoundRow, line: string): string {
  if (status >= 500 || outcome === 'broken') return style.red(line);
  return status >= 400 ? style.yellow(line) : line;
}

interface Seen {
  readonly isPart: boolean;
  readonly damaged: number;
  readonly count: number;
  readonly isFiltered: boolean;
  /** Whether a running agent records requests. */
  readonly isRecording: boolean;
  /** The configuration without a match, if others have one. */
  readonly othersThan: string | undefined;
}

function notes(seen: Seen): string[] {
  const { isPart, damaged, count } = seen;
  return [
    ...(count === 0 ? [whyEmpty(seen)] : []),
    ...(isPart ? [`Showing the latest ${count}. Use --limit to show more.`] : []),
    ...(damaged > 0 ? ['Some recorded requests are damaged and not shown.'] : []),
  ];
}

function whyEmpty({ isFiltered, isRecording, othersThan }: Seen): string {
  if (othersThan !== undefined) {
    const what = isFiltered ? 'No recorded request of' : 'No requests recorded yet for';
    return `${what} ${printable(othersThan)}${isFiltered ? ' matches' : ''}. Use --all to show requests of other configurations.`;
  }
  if (isFiltered) return 'No recorded request matches.';
  return isRecording
    ? 'No requests recorded yet.'
    : 'No requests recorded yet. Set `inspect: true` on an http service.';
}
