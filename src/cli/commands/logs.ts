import type { CommandInput, Context, ExitCode } from '../context.js';
import type { Entry } from '../control/history.js';
import { findAgent } from '../find-agent.js';
import { listenForInterrupts } from '../interrupts.js';
import { jsonLine } from '../print.js';
import { LogLines } from '../log-lines.js';
import { createStyle } from '../style.js';

interface Options {
  readonly follow?: true;
  readonly file?: string;
  readonly pid?: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const agent = await findAgent(context, options, { listsOthers: true });
  const lines = new LogLines(createStyle(context.stdout.color), context.verbosity);
  const interrupts = listenForInterrupts();
  const signal = AbortSignal.any([interrupts.signal, context.stdout.closed]);
  try {
    for await (const entry of agent.logs({ follow: options.follow === true, signal })) {
      const isWanted = args.length === 0 || args.some((service) => isOf(entry, service));
      if (context.json && isWanted) context.stdout.line(jsonLine(entry));
      if (context.json) continue;
      const text = lines.describe(entry, Date.now());
      if (isWanted && text !== undefined) context.stdout.line(text);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    interrupts.dispose();
  }
  return 0;
}

function isOf(entry: Entry, service: string): boolean {
  const { service: of } = entry.event === 'log' ? entry.fields : (entry as { service?: string });
  return of === service;
}
