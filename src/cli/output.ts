import type { Writable } from 'node:stream';

/** A stream of the process, as far as the CLI cares. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Beyond this many unread bytes lines are dropped: a reader that sleeps must not grow the agent without end. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;

export interface OutputOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The line that tells of dropped ones. */
  readonly describeDropped: (lines: number) => string;
}

/**
 * Whole lines to stdout or stderr. Pipes are asynchronous in Node and may be slow or gone: a slow one is
 * buffered up to a limit, a gone one (EPIPE) swallows what follows and says so once through `closed`.
 */
export class Output {
  readonly #stream: OutputStream;
  readonly #describeDropped: (lines: number) => string;
  readonly #closed = new AbortController();
  #dropped = 0;
  /** Notes are not wanted. */
  isQuiet = false;
  readonly color: boolean;

  constructor(stream: OutputStream, options: OutputOptions) {
    this.#stream = stream;
    this.#describeDropped = options.describeDropped;
    this.color = wantsColor(stream, options.env);
    stream.on('error', () => this.#closed.abort('output closed'));
    stream.on('drain', () => this.#tellDropped());
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  /** The stream itself, for a renderer that draws. */
  get stream(): OutputStream {
    return this.#stream;
  }

  /** Aborts when no one reads any more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** A line that a reader can do without: `--quiet` does. */
  note(text = ''): void {
    if (!this.isQuiet) this.line(text);
  }

  line(text = ''): void {
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

  /** Resolves once everything written has left the process, or no one reads it any more. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed.signal.aborted || this.#stream.writableLength === 0) return resolve();
      this.#closed.signal.addEventListener('abort', () => resolve(), { once: true });
      this.#stream.write('', () => resolve());
    });
  }

  /** For a process that was told to go: a reader that takes longer than this is not waited for. */
  async finish(ms: number): Promise<void> {
    const timer = setTimeout(() => this.#closed.abort('output closed'), ms);
    await this.flush();
    clearTimeout(timer);
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.line(this.#describeDropped(lines));
  }
}

/** NO_COLOR (https://no-color.org) wins, then FORCE_COLOR, then whether a person is looking. */
function wantsColor(stream: OutputStream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
