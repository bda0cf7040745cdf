/** What a terminal does with its lines when its width changes. */
export interface Reflow {
  /** It wraps them again. Otherwise it cuts them. */
  readonly wraps: boolean;
  /** Lines that need more rows push the first ones into the history, even if there are empty rows below the last one. */
  readonly movesEmptyRows: boolean;
  /** Timeout for the position of the cursor. */
  readonly cursorMs: number;
}

/** Most terminals wrap lines again, and tmux does in every terminal. xterm, GNU screen and the Linux console do not. */
export function reflowOf({ TMUX, STY, TERM, XTERM_VERSION }: NodeJS.ProcessEnv): Reflow {
  // tmux always responds, late on a busy machine. Some other terminals never respond.
  if (TMUX) return { wraps: true, movesEmptyRows: true, cursorMs: 10_000 };
  return { wraps: !STY && !XTERM_VERSION && TERM !== 'linux', movesEmptyRows: false, cursorMs: 1_000 };
}
