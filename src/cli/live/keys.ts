import { readFileSync } from 'node:fs';
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';

export interface Key {
  readonly name: string;
  readonly isCtrl: boolean;
}

/** Reads single keys from a terminal, until closed. */
export class Keys {
  readonly #stdin: ReadStream;
  readonly #onKey: (key: Key) => void;
  readonly #listener = (text: string | undefined, key: { name?: string; ctrl?: boolean }): void =>
    this.#onKey({ name: text === '?' ? '?' : (key.name ?? text ?? ''), isCtrl: key.ctrl === true });

  private constructor(stdin: ReadStream, onKey: (key: Key) => void) {
    this.#stdin = stdin;
    this.#onKey = onKey;
    emitKeypressEvents(stdin);
    stdin.on('keypress', this.#listener);
    this.take();
  }

  /** Undefined without a keyboard, or if the shell reads it. */
  static open(stdin: NodeJS.ReadableStream, onKey: (key: Key) => void): Keys | undefined {
    const terminal = stdin as ReadStream;
    return terminal.isTTY && isForeground() ? new Keys(terminal, onKey) : undefined;
  }

  take(): void {
    this.#stdin.setRawMode(true);
    this.#stdin.resume();
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
