import { execFile, type ChildProcess } from 'node:child_process';
import { isLoopback } from '../../net/target/target.js';

/** Actions of the live view's keys. Each loads its code on first use. */

/**
 * Opens `url` in the browser of this machine. Calls `onFailure` if the program that opens it cannot start or reports a
 * failure later.
 */
export async function openUrl(
  url: string,
  onFailure: () => void,
  open: (url: string) => Promise<Pick<ChildProcess, 'on'>> = startBrowser,
): Promise<void> {
  try {
    const child = await open(url);
    child.on('error', onFailure);
    child.on('exit', (code: number | null) => {
      // A signal ends a browser that did open.
      if (code !== 0 && code !== null) onFailure();
    });
  } catch {
    onFailure();
  }
}

async function startBrowser(url: string): Promise<ChildProcess> {
  const { default: open } = await import('open');
  return open(url);
}

/**
 * Copies `text`, over SSH as well: through tmux, or with a sequence for the terminal (OSC 52). Only some terminals
 * are known to support that; with others, the result is uncertain.
 */
export async function copy(
  text: string,
  terminal: { write(text: string): unknown },
  env: NodeJS.ProcessEnv,
): Promise<'tmux' | 'terminal' | 'asked'> {
  if (env['TMUX'] && (await copyToTmux(text))) return 'tmux';
  const sequence = clipboardSequence(text);
  // Both ignore the plain sequence by default, and forward a wrapped one.
  if (env['TMUX'] || env['TERM']?.startsWith('tmux'))
    terminal.write(`\u001BPtmux;${sequence.replaceAll('\u001B', '\u001B\u001B')}\u001B\\`);
  else if (env['STY']) terminal.write(`\u001BP${sequence}\u001B\\`);
  else terminal.write(sequence);
  return copiesOnRequest(env) ? 'terminal' : 'asked';
}

const clipboardSequence = (text: string): string =>
  `\u001B]52;c;${Buffer.from(text).toString('base64')}\u0007`;

const COPYING_TERMS = /^(alacritty|foot|wezterm|xterm-kitty|xterm-ghostty|contour)/;
const COPYING_PROGRAMS = new Set(['WezTerm', 'ghostty', 'vscode']);

function copiesOnRequest(env: NodeJS.ProcessEnv): boolean {
  const isInside = env['TMUX'] !== undefined || env['STY'] !== undefined;
  const { TERM = '', TERM_PROGRAM = '', WT_SESSION } = env;
  return (
    !isInside && (COPYING_TERMS.test(TERM) || COPYING_PROGRAMS.has(TERM_PROGRAM) || WT_SESSION !== undefined)
  );
}

const TMUX_MS = 2_000;

/**
 * By default tmux sets the clipboard of its terminal for this command, but not for a program inside it that sends OSC
 * 52.
 */
function copyToTmux(text: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = execFile('tmux', ['load-buffer', '-w', '-'], { timeout: TMUX_MS }, (error) =>
      resolve(error === null),
    );
    child.stdin?.on('error', () => undefined).end(text);
  });
}

/** Whether another device may open `address`. */
export function isShareable(address: string): boolean {
  const url = /^\w+:\/\//.test(address) ? address : `tcp://${address}`;
  return !URL.canParse(url) || !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ''));
}

/** A QR code in lines of half blocks. */
export async function qrCode(text: string): Promise<string[]> {
  const { renderUnicodeCompact } = await import('uqr');
  return renderUnicodeCompact(text, { border: 2 }).split('\n');
}
