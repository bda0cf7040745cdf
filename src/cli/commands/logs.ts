import type { CommandInput, Context, ExitCode } from '../context.js';
import type { Entry } from '../control/history.js';
import { findAgent } from '../find-agent.js';
import { listenForInterrupts } from '../interrupts.js';
import { jsonLine } from '../print.js';
import { describeEvent } from '../reporters/describe.js';
import { createStyle, printable, type Style } from '../style.js';

interface Options {
  readonly follow?: true;
  readonly file?: string;
  readonly pid?: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const agent = await findAgent(context, options, { listsOthers: true });
  const style = createStyle(context.stdout.color);
  const interrupts = listenForInterrupts();
  const signal = AbortSignal.any([interrupts.signal, context.stdout.closed]);
  try {
    for await (const entry of agent.logs({ follow: options.follow === true, signal })) {
      if (args.length > 0 && !args.some((service) => isOf(entry, service))) continue;
      context.stdout.line(context.json ? jsonLine(entry) : describeEntry(entry, style));
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

function describeEntry(entry: Entry, style: Style): string {
  const time = style.dim(new Date(entry.time).toLocaleTimeString('en-GB'));
  if (entry.event === 'rejected') {
    // A background agent has no terminal to print code frames, so print the problems here.
    const problems = entry.errors.map(
      ({ file, line, column, message }) => `  ${file}:${line}:${column}: ${message}`,
    );
    return [`${time} ${describeEvent(entry, style)}`, ...problems].join('\n');
  }
  if (entry.event !== 'log') return `${time} ${describeEvent(entry, style)}`;
  const fields = Object.entries(entry.fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const level = entry.level === 'info' ? '' : `${entry.level}: `;
  return `${time} ${level}${printable(entry.message)} ${style.dim(printable(fields.join(' ')))}`.trimEnd();
}
