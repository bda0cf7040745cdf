import { idText, parseId } from '../../agent/inspect/history/ids.js';
import { find } from '../../agent/inspect/history/search.js';
import type { RequestRow } from '../../agent/inspect/wire.js';
import { PortalError } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { findAgent } from '../running/find-agent.js';
import { agentFor } from '../running/ask-agent.js';
import { printEvent } from '../print.js';
import { formatBytes } from '../text/amounts.js';
import { msText, ownHistory, plainRow, statusText } from '../request-history.js';
import { printable } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly pid?: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const id = parseId(args[0]!)!;
  const row = await replay(context, id, options);
  if (context.json) printEvent(context, 'replayed', plainRow(row));
  else context.stdout.line(describe(row));
  return row.outcome === 'done' ? 0 : 1;
}

/** Uses the agent of the portal.yaml that the request was recorded for, else the agent of this folder. */
async function replay(context: Context, id: number, which: Options): Promise<RequestRow> {
  const isNamed = which.file !== undefined || which.pid !== undefined;
  const source = !isNamed ? await sourceOf(context, id) : undefined;
  if (source === undefined) return (await findAgent(context, which)).replay(id);
  try {
    const agent = await agentFor(context, source);
    return await agent.replay(id);
  } catch (error) {
    if (!(error instanceof PortalError) || error.code !== 'not_running') throw error;
    throw new PortalError('not_running', `no agent is running for ${source}, which received this request`, {
      hint: `Start it with \`portal up -f ${source}\`, then replay the request again.`,
      cause: error,
    });
  }
}

async function sourceOf(context: Context, id: number): Promise<string | undefined> {
  const history = await ownHistory(context, undefined);
  const recording = history && (await find(history.folder, id, Date.now()));
  return recording?.past?.source ?? undefined;
}

function describe(row: RequestRow): string {
  const { id, method, target, totalMs, responseBytes } = row;
  return `${idText(id)}  ${printable(`${method} ${target}`)}  ${statusText(row) || 'no response'}  ${msText(totalMs)}  ${formatBytes(responseBytes)}`;
}
