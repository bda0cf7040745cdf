import type { Writable } from 'node:stream';
import { systemCode } from '../lib/errors.js';
import type { wrapCommand, wrapWords } from './text/wrap.js';

/** The parts of a process stream that the CLI uses. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Errors of a file on a full disk, which say nothing about a reader. */
const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Lines are dropped beyond this many unread bytes, so that a slow reader does not use up the agent's memory. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;

export interface OutputOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Formats the line that reports dropped lines. */
  readonly describeDropped: (lines: number) => string;
  /** Breaks lines on a terminal. An option, because a pipe does not need to load it. */
  readonly wrap?: Wrap | undefined;
}

export interface Wrap {
  readonly wrapWords: typeof wrapWords;
  readonly wrapCommand: typeof wrapCommand;
}

/**
 * Writes lines to stdout or stderr. Pipes are asynchronous in Node: output to a slow pipe is buffered up to a limit.
 * After a pipe closes (EPIPE), drops output and aborts `closed`.
 */
export class Output {
  readonly #stream: OutputStream;
  readonly #describeDropped: (lines: number) => string;
  readonly #wrap: OutputOptions['wrap'];
  readonly #closed = new AbortController();
  readonly #left = new AbortController();
  #dropped = 0;
  #failure: Error | undefined;
  /** Suppresses notes. */
  isQuiet = false;
  readonly color: boolean;

  constructor(stream: OutputStream, options: OutputOptions) {
    this.#stream = stream;
    this.#describeDropped = options.describeDropped;
    this.#wrap = options.wrap;
    this.color = wantsColor(stream, options.env);
    stream.on('error', (error) => {
      const code = systemCode(error);
      if (code !== 'EPIPE') this.#failure ??= error;
      this.#closed.abort('output closed');
      if (!FULL.has(code)) this.#left.abort('output closed');
    });
    stream.on('drain', () => this.#reportDropped());
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Columns of the terminal. Files and pipes have no limit. */
  get columns(): number {
    return (this.isTTY && this.#stream.columns) || Infinity;
  }

  /** The stream itself, for renderers that draw on it. */
  get stream(): OutputStream {
    return this.#stream;
  }

  /** Aborts when nothing more can be written. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Aborts when the reader closes the stream, but not when the disk is full. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /**
   * Why output was lost, for example because the disk is full. Undefined if the reader closed the stream, because it
   * wants no more.
   */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Prints a line that `--quiet` suppresses. */
  note(text = ''): void {
    if (!this.isQuiet) this.line(text);
  }

  /** The same for a command to copy. On a terminal, a long one breaks between arguments. */
  noteCommand(text: string): void {
    if (!this.isQuiet) this.data(this.#wrap?.wrapCommand(text, this.columns) ?? text);
  }

  /** Prints text for a person. On a terminal, long lines break between words. */
  line(text = ''): void {
    this.data(this.#wrap?.wrapWords(text, this.columns) ?? text);
  }

  /** Prints a line exactly as it is: JSON, a path, a command. */
  data(text: string): void {
    this.write(`${text}\n`);
  }

  write(text: string): void {
    if (this.#closed.signal.aborted) return;
    if (this.#stream.writableLength > MAX_UNREAD_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#stream.write(text);
  }

  /** Resolves once the process has written everything, or the reader closed the stream. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed.signal.aborted || this.#stream.writableLength === 0) return resolve();
      this.#closed.signal.addEventListener('abort', () => resolve(), { once: true });
      this.#stream.write('', () => resolve());
    });
  }

  /** Flushes, but waits for a slow reader for at most `ms`. */
  async finish(ms: number): Promise<void> {
    const timer = setTimeout(() => this.#closed.abort('output closed'), ms);
    await this.flush();
    clearTimeout(timer);
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.data(this.#describeDropped(lines));
  }
}

/** NO_COLOR (https://no-color.org) wins, then FORCE_COLOR, then whether the stream is a terminal. */
function wantsColor(stream: OutputStream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
