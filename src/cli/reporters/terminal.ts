import { formatWait } from '../text/amounts.js';
import { columns } from '../text/columns.js';
import { relayName } from './describe.js';
import type { Live } from '../live/live.js';
import type { Snapshot } from '../live/model.js';
import type { Problem } from '../../config/text/problem.js';
import { createStyle, printable } from '../text/style.js';
import { EventGroups } from './event-groups.js';
import { EventFilter, STEPS } from './event-filter.js';
import { writeProblems, type TextOutputs } from './plain.js';
import { LostLeases } from './lost-leases.js';
import { Progress } from './progress.js';
import type { Expected, Reporter, TimedEvent } from './reporter.js';
import { AccessHints, writeAddresses, type Lines } from './summary.js';

export interface TerminalOutputs extends TextOutputs {
  readonly stdin: NodeJS.ReadableStream;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Events that replace the progress by the view. Nothing can be printed above the progress, a person waits for the output of
 * commands, and only the view knows that they start.
 */
const OPENS_VIEW: ReadonlySet<string> = new Set(['applied', 'ready', 'command', 'output']);

/** For terminals: progress by service, then the live view, with lines above it. */
export function terminalReporter(outputs: TerminalOutputs): Reporter {
  return new TerminalReporter(outputs);
}

class TerminalReporter implements Reporter {
  readonly #outputs: TerminalOutputs;
  readonly #style;
  readonly #filter: EventFilter;
  readonly #accessHints: AccessHints;
  readonly #groups: EventGroups;
  #progress: Progress | undefined;
  #snapshot: (() => Snapshot) | undefined;
  #live: Live | undefined;
  /** Leases that were lost with their relay, and are only in the view. */
  readonly #lost = new LostLeases();
  /** When each of those relays was lost, by performance.now. */
  readonly #lostAt = new Map<string, number>();
  /** Events from before the view opened. */
  readonly #early: TimedEvent[] = [];
  /** What to print after the progress, which erases the lines above the cursor when it ends. */
  #waiting: (string | (() => void))[] | undefined = [];
  #settling: Promise<void> | undefined;
  #isClosed = false;
  readonly #lines: Lines;

  constructor(outputs: TerminalOutputs) {
    const { stderr, verbosity } = outputs;
    this.#outputs = outputs;
    this.#style = createStyle(stderr.color);
    this.#filter = new EventFilter(verbosity);
    this.#lines = { color: stderr.color, line: (text) => this.#print(text) };
    this.#accessHints = new AccessHints(this.#lines);
    this.#groups = new EventGroups(this.#style, (line) => this.#lines.line(line));
  }

  begin(expected: readonly Expected[]): void {
    this.#accessHints.begin(expected);
    this.#progress = new Progress(this.#outputs.stderr, expected);
  }

  attach(snapshot: () => Snapshot): void {
    this.#snapshot = snapshot;
  }

  event(event: TimedEvent): void {
    if (this.#live) this.#live.note(event);
    else this.#early.push(event);
    const { stdout } = this.#outputs;
    if (event.event === 'lease' || event.event === 'unplaced') this.#progress?.note(event);
    if (event.event === 'served') this.#progress?.noteServed(event);
    // The view shows the addresses, if there is one.
    if (event.event === 'ready' && !(stdout.isTTY && this.#snapshot)) {
      const write = (): void => writeAddresses(stdout, event);
      if (stdout.isTTY && this.#waiting) this.#waiting.push(write);
      else write();
    }
    if (event.event === 'stopped') this.#leaveAddresses();
    if (this.#filter.isShown(event) && !this.#isInView(event)) this.#groups.print(event);
    this.#groups.note(event);
    this.#accessHints.note(event);
    if (OPENS_VIEW.has(event.event)) void this.#settle();
    if (event.event === 'stopped') void this.close();
  }

  problems(problems: readonly Problem[]): void {
    writeProblems({ ...this.#outputs, stderr: this.#lines }, problems);
  }

  warning(message: string): void {
    this.#lines.line(`${this.#style.yellow('warning:')} ${printable(message)}`);
  }

  async close(): Promise<void> {
    this.#groups.flush();
    if (!this.#isClosed) this.#accessHints.end();
    this.#isClosed = true;
    this.#live?.close();
    this.#live = undefined;
    await this.#settle();
  }

  /** The view already has a line for a lost relay, with the error and the next attempt. */
  #isInView(event: TimedEvent): boolean {
    if (!this.#live || !this.#snapshot || event.event !== 'lease') return false;
    const { service, relay, phase } = event;
    const key = `${service} ${relay}`;
    if (phase === 'ready') {
      this.#recovered(relay);
      return this.#lost.isBack(key, event);
    }
    const at = this.#snapshot().relays.find((one) => one.relay === relay);
    const isInView = phase === 'retrying' && at?.state !== 'connected';
    if (isInView) {
      this.#lost.add(key, event);
      if (!this.#lostAt.has(relay)) this.#lostAt.set(relay, performance.now());
    }
    // A printed line, such as a changed key of the relay, needs another one when the lease is ready again.
    else if (!STEPS.has(phase)) {
      this.#lost.delete(key);
      this.#lostAt.delete(relay);
    }
    return isInView;
  }

  /** One line for an outage, which the view no longer shows. */
  #recovered(relay: string): void {
    const at = this.#lostAt.get(relay);
    if (at === undefined) return;
    this.#lostAt.delete(relay);
    this.#print(`${relayName(relay)}: connected again after ${formatWait(performance.now() - at)}`);
  }

  /** The view ends with the agent. Its addresses stay on the screen. */
  #leaveAddresses(): void {
    const served = this.#live?.served ?? [];
    if (served.length === 0) return this.#print('no service was published');
    const { bold, cyan } = this.#style;
    const rows = columns(served.map(({ service, address }) => [service, address]));
    const lines = rows.map((row, index) => {
      const { service } = served[index]!;
      return `  ${bold(service)}${cyan(row.slice(service.length))}`;
    });
    this.#print(['no longer served:', ...lines].join('\n'));
  }

  #print(text = ''): void {
    if (this.#waiting) this.#waiting.push(text);
    else if (this.#live) this.#live.print(text);
    else this.#outputs.stderr.line(text);
  }

  /** Replaces the progress by the view. */
  #settle(): Promise<void> {
    this.#settling ??= (async () => {
      await this.#progress?.end();
      await this.#open();
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const each of waiting) {
        if (typeof each === 'string') this.#print(each);
        else each();
      }
    })();
    return this.#settling;
  }

  async #open(): Promise<void> {
    const snapshot = this.#snapshot;
    if (!snapshot || this.#isClosed) return;
    const { Live } = await import('../live/live.js');
    if (this.#isClosed) return;
    const { stdin, stderr, env } = this.#outputs;
    const terminal = stderr.stream as NodeJS.WriteStream;
    this.#live = new Live({ snapshot, stdin, terminal, style: this.#style, env });
    for (const event of this.#early.splice(0)) this.#live.note(event);
  }
}
