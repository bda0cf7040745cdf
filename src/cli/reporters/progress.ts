import {
  DefaultRenderer,
  Listr,
  ListrLogger,
  ProcessOutput,
  type ListrTaskWrapper,
  type SimpleRenderer,
} from 'listr2';
import type { PortalEvent } from '../../reconcile/events.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { LeaseBoard } from '../../library/lease-board.js';
import type { Output } from '../output.js';
import { createStyle } from '../text/style.js';
import { wrapWords } from '../text/wrap.js';
import { describeError, nextTry, publicAddress, relayName } from './describe.js';
import type { Expected } from './reporter.js';

type Lease = Extract<PortalEvent, { event: 'lease' }>;
type Served = Extract<PortalEvent, { event: 'served' }>;
type Unplaced = Extract<PortalEvent, { event: 'unplaced' }>;
type Task = ListrTaskWrapper<object, typeof StderrRenderer, typeof SimpleRenderer>;

/** Columns that listr2 needs for the mark before a title, and its margin. */
const TITLE_INDENT = 4;
/** The same for an error below a title. */
const ERROR_INDENT = 8;

/** listr2 checks stdout; we draw on stderr, which is a terminal. */
class StderrRenderer extends DefaultRenderer {
  static override nonTTY = true;
}

interface Row {
  readonly settled: Deferred<'through' | 'left'>;
  isSettled: boolean;
  title: string;
  /** The protocol that was detected from its target. */
  servedAs?: string;
  /** Undefined at first: drawing starts shortly after the first event. */
  task?: Task;
}

/** A spinner for each service of the first pass, until it is ready or failed. Removes itself at the end. */
export class Progress {
  readonly #board: LeaseBoard;
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #addresses = new Map<string, Set<string>>();
  readonly #drawn: Promise<unknown>;
  readonly #stderr: Output;
  readonly #style;
  #hasEnded = false;

  constructor(stderr: Output, expected: readonly Expected[]) {
    this.#stderr = stderr;
    this.#style = createStyle(stderr.color);
    this.#board = new LeaseBoard(expected);
    this.#rows = new Map(
      expected.map(({ service }) => [
        service,
        { settled: deferred(), isSettled: false, title: this.#style.bold(service) },
      ]),
    );
    // A service may fail before drawing has started.
    for (const { settled } of this.#rows.values()) settled.promise.catch(() => undefined);
    this.#drawn = this.#draw();
  }

  /** Shows the state of a service. Returns false if it is already final or was not expected. */
  note(event: Lease | Unplaced): boolean {
    const row = this.#rows.get(event.service);
    if (!row || row.isSettled) return false;
    this.#board.note(event);
    const outcome = this.#board.outcome(event.service);
    row.title = event.event === 'lease' ? this.#title(event) : this.#waiting(event);
    this.#show(row);
    if (outcome === 'ready') row.settled.resolve('through');
    if (outcome === 'failed')
      row.settled.reject(
        new Error(this.#fit(event.error ? describeError(event.error) : 'failed', ERROR_INDENT)),
      );
    row.isSettled = outcome !== 'pending';
    return true;
  }

  /** Shows the protocol of a service. Returns false once drawing has ended. */
  noteServed({ service, servedAs }: Served): boolean {
    const row = this.#rows.get(service);
    if (!row || this.#hasEnded) return false;
    row.servedAs = servedAs;
    this.#show(row);
    return true;
  }

  /** Ends drawing, including pending rows. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    for (const row of this.#rows.values()) {
      row.isSettled = true;
      row.settled.resolve('left');
    }
    await this.#drawn;
  }

  #show(row: Row): void {
    if (row.task) row.task.title = this.#whole(row);
  }

  #whole({ title, servedAs }: Row): string {
    const protocol = servedAs === undefined ? '' : `  ${this.#style.dim(`(${servedAs})`)}`;
    return this.#fit(title + protocol, TITLE_INDENT);
  }

  /** Breaks a text between words. listr2 breaks longer lines anywhere. */
  #fit(text: string, indent: number): string {
    return wrapWords(text, this.#stderr.columns - indent);
  }

  #title(lease: Lease): string {
    const addresses = this.#addresses.get(lease.service) ?? new Set();
    this.#addresses.set(lease.service, addresses);
    const address = publicAddress(lease);
    if (lease.phase === 'ready' && address !== undefined) addresses.add(address);
    const { bold, dim, cyan, yellow } = this.#style;
    const unproven = lease.unproven ? yellow('  (unverified)') : '';
    const next = lease.nextInMs === undefined ? '' : `, ${nextTry(lease.nextInMs)}`;
    const why = lease.phase === 'retrying' && lease.error ? `${next}: ${describeError(lease.error)}` : '';
    const state =
      addresses.size > 0
        ? cyan([...addresses].join('  '))
        : dim(`${lease.phase} ${relayName(lease.relay)}${why}`);
    return `${bold(lease.service)}  ${state}${unproven}`;
  }

  #waiting({ service, error }: Unplaced): string {
    const { bold, dim } = this.#style;
    return `${bold(service)}  ${dim(`no relay: ${describeError(error)}`)}`;
  }

  #draw(): Promise<unknown> {
    // Progress is drawn only on terminals, where the output's stream is process.stderr.
    const terminal = this.#stderr.stream as NodeJS.WriteStream;
    const logger = new ListrLogger({
      useIcons: true,
      toStderr: [],
      processOutput: new ProcessOutput(terminal, terminal, { leaveEmptyLine: false }),
    });
    const tasks = [...this.#rows.values()].map((row) => ({
      title: row.title,
      task: async (_context: object, task: Task): Promise<void> => {
        row.task = task;
        task.title = this.#whole(row);
        if ((await row.settled.promise) === 'left') task.skip();
      },
    }));
    return new Listr<object, typeof StderrRenderer, typeof SimpleRenderer>(tasks, {
      concurrent: true,
      exitOnError: false,
      // `up` handles signals, because it drains before it exits.
      registerSignalListeners: false,
      renderer: StderrRenderer,
      // The output after it shows the same, and more.
      rendererOptions: { logger, collapseErrors: false, clearOutput: true },
    }).run();
  }
}
