import type { CommandInput, Context, ExitCode } from '../context.js';
import type { AccessEntry } from '../../agent/access-log.js';
import { commonLogLine } from '../logs/access-line.js';
import type { ControlClient, LogsOptions } from '../control/client.js';
import type { Entry } from '../control/history.js';
import { findAgent } from '../running/find-agent.js';
import { listenForInterrupts } from '../interrupts.js';
import { jsonLine } from '../print.js';
import { LogLines } from '../logs/log-lines.js';
import { createStyle } from '../text/style.js';
import { shellQuote } from '../../lib/shell-quote.js';
import { PortalError } from '../../lib/errors.js';
import { checkServices } from '../../library/unknown-service.js';
import { isPath } from '../../library/path-word.js';

interface Options {
  readonly follow?: true;
  readonly access?: true;
  readonly file?: string;
  readonly pid?: number;
  /** How many of the recent entries to show. Default: all. */
  readonly tail?: number;
  /** Milliseconds since the epoch. */
  readonly since?: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  rejectPath(args, options);
  const agent = await findAgent(context, options, { listsOthers: true });
  await checkNames(agent, args);
  const interrupts = listenForInterrupts();
  const signal = AbortSignal.any([interrupts.signal, context.stdout.closed]);
  const tail = new Tail(options.tail, (text) =>
    context.json ? context.stdout.data(text) : context.stdout.line(text),
  );
  const { since = -Infinity } = options;
  const onRecent = (entries: number): void => {
    tail.expect(entries);
    if (entries === 0 && options.access) context.stderr.note('No requests since the agent started.');
  };
  const wanted = { follow: options.follow === true, signal, onRecent };
  try {
    for await (const { entry, text } of options.access
      ? requests(agent, wanted)
      : events(context, agent, wanted)) {
      const isNamed = args.length === 0 || args.some((service) => isOf(entry, service));
      const isShown = isNamed && Date.parse(entry.time) >= since;
      tail.next(isShown ? (context.json ? jsonLine(entry) : text) : undefined);
    }
    tail.end();
    if (tail.isEmpty) context.stderr.note(`No recent ${options.access ? 'request' : 'event'} matches.`);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    interrupts.dispose();
  }
  return 0;
}

interface Shown {
  readonly entry: Entry | AccessEntry;
  /** For people. Undefined for an entry that only --verbose shows. */
  readonly text: string | undefined;
}

async function* events(context: Context, agent: ControlClient, wanted: LogsOptions): AsyncGenerator<Shown> {
  const lines = new LogLines(createStyle(context.stdout.color), context.verbosity);
  // Describes every entry, because a description depends on those before.
  for await (const entry of agent.logs(wanted)) yield { entry, text: lines.describe(entry, Date.now()) };
}

async function* requests(agent: ControlClient, wanted: LogsOptions): AsyncGenerator<Shown> {
  for await (const entry of agent.access(wanted)) yield { entry, text: commonLogLine(entry) };
}

/** Prints the last `limit` of the recent entries, and every later one. */
class Tail {
  readonly #limit: number;
  readonly #print: (text: string) => void;
  #recent: string[] = [];
  /** Undefined before the first entry. */
  #isHidden: boolean | undefined;
  /** Recent entries that have not arrived yet. */
  #expected = 0;

  constructor(limit = Infinity, print: (text: string) => void) {
    this.#limit = limit;
    this.#print = print;
  }

  /** The next `entries` entries are recent ones. */
  expect(entries: number): void {
    this.#expected = entries;
  }

  /** Whether entries arrived, and none was shown. */
  get isEmpty(): boolean {
    return this.#isHidden === true;
  }

  /** @param text undefined for an entry that is not shown */
  next(text: string | undefined): void {
    const isRecent = this.#expected > 0;
    this.#isHidden = text === undefined && (this.#isHidden ?? true);
    if (text !== undefined) {
      if (isRecent) this.#recent.push(text);
      else this.#print(text);
    }
    if (isRecent && --this.#expected === 0) this.end();
  }

  end(): void {
    const shown = this.#limit === 0 ? [] : this.#recent.slice(-this.#limit);
    this.#recent = [];
    for (const text of shown) this.#print(text);
  }
}

/** Other commands take the file with -f, and `logs -f FILE` would follow a service of that name. */
function rejectPath(args: readonly string[], { follow, file }: Options): void {
  const path = args.find(isPath);
  if (path === undefined || file !== undefined) return;
  const command = ['portal logs', ...(follow ? ['-f'] : []), `-F ${shellQuote(path)}`].join(' ');
  throw new PortalError('usage', `${JSON.stringify(path)} is a file, not a service`, {
    hint: `Use: ${command}. For \`portal logs\`, -f is --follow and -F is --file.`,
  });
}

/** A service may be gone from the configuration and still have entries. */
async function checkNames(agent: ControlClient, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const { services, waiting } = await agent.readiness();
  const known = [...Object.keys(services), ...waiting.map(({ service }) => service)];
  // A starting or stopping agent does not know its services.
  if (known.length === 0 || names.every((name) => known.includes(name))) return;
  const logged: string[] = [];
  for await (const entry of agent.logs({ follow: false })) logged.push(serviceOf(entry) ?? '');
  checkServices(
    names.filter((name) => !logged.includes(name)),
    known,
    'the agent',
  );
}

const isOf = (entry: Entry | AccessEntry, service: string): boolean => serviceOf(entry) === service;

function serviceOf(entry: Entry | AccessEntry): string | undefined {
  const { service } = entry.event === 'log' ? entry.fields : (entry as { service?: unknown });
  return typeof service === 'string' ? service : undefined;
}
