import { readFileSync } from 'node:fs';
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';
import { deadline, deferred, type Deferred } from '../../lib/wait.js';

export interface Key {
  readonly name: string;
  readonly isCtrl: boolean;
}

/** Asks a terminal for the position of its cursor (DSR). */
export const ASK_CURSOR = '\u001B[6n';
/** The response. Node reads it as a key if the cursor is in one of the first nine columns: F3 in the first nine rows. */
const CURSOR = /^\[(\d+);\d+R$/;

/** Reads single keys from a terminal, until closed. */
export class Keys {
  readonly #stdin: ReadStream;
  readonly #onKey: (key: Key) => void;
  #cursor: Deferred<number | undefined> | undefined;
  readonly #listener = (
    text: string | undefined,
    key: { name?: string; ctrl?: boolean; sequence?: string },
  ): void => {
    const row = CURSOR.exec(key.sequence?.slice(1) ?? '')?.[1];
    if (row !== undefined) this.#cursor?.resolve(Number(row) - 1);
    else this.#onKey({ name: text === '?' ? '?' : (key.name ?? text ?? ''), isCtrl: key.ctrl === true });
  };

  private constructor(stdin: ReadStream, onKey: (key: Key) => void) {
    this.#stdin = stdin;
    this.#onKey = onKey;
    emitKeypressEvents(stdin);
    stdin.on('keypress', this.#listener);
    this.take();
  }

  /** Undefined without a keyboard, or if the shell reads it. */
  static open(
    stdin: NodeJS.ReadableStream,
    onKey: (key: Key) => void,
    reads: () => boolean = isForeground,
  ): Keys | undefined {
    const terminal = stdin as ReadStream;
    return terminal.isTTY && reads() ? new Keys(terminal, onKey) : undefined;
  }

  take(): void {
    this.#stdin.setRawMode(true);
    this.#stdin.resume();
  }

  /**
   * The row of the cursor, from 0, after `ask` sent `ASK_CURSOR`; undefined if the terminal does not respond within
   * `timeoutMs`.
   */
  async cursorRow(ask: () => void, timeoutMs: number): Promise<number | undefined> {
    const cursor = deferred<number | undefined>();
    this.#cursor = cursor;
    const stop = deadline(timeoutMs, () => cursor.resolve(undefined));
    ask();
    try {
      return await cursor.promise;
    } finally {
      stop();
    }
  }

  /** Returns the terminal to its normal mode for a while. */
  release(): void {
    this.#stdin.setRawMode(false);
    this.#stdin.pause();
  }

  close(): void {
    this.#stdin.off('keypress', this.#listener);
    this.release();
  }
}

/** The system stops a background job that accesses the terminal. Only Linux shows whether this process is one. */
function isForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , foreground] = stat
      .slice(stat.lastIndexOf(')') + 1)
      .trim()
      .split(' ');
    return group === foreground;
  } catch {
    return true;
  }
}
