import { Writable } from 'node:stream';
import { deferred, type Deferred } from '../lib/wait.js';
import type { Context } from './context.js';

/**
 * Asks for a text on a terminal that does not show what the user types. Asks twice, until both are the same. Undefined if the user
 * interrupts (Ctrl-C) or ends the input (Ctrl-D).
 */
export async function askSecret(
  { stdin, stderr }: Pick<Context, 'stdin' | 'stderr'>,
  what: string,
): Promise<string | undefined> {
  const { createInterface } = await import('node:readline');
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: stdin, output: unseen, terminal: true, historySize: 0 });
  // Pasted text may have several lines, which arrive before the next question.
  const lines: string[] = [];
  let waiting: Deferred<string | undefined> | undefined;
  let isEnded = false;
  terminal.on('line', (line) => {
    if (waiting) waiting.resolve(line);
    else lines.push(line);
    waiting = undefined;
  });
  for (const event of ['SIGINT', 'close'])
    terminal.on(event, () => {
      isEnded = true;
      waiting?.resolve(undefined);
    });
  const ask = async (question: string): Promise<string | undefined> => {
    stderr.write(question);
    const isKnown = lines.length > 0 || isEnded;
    const answer = isKnown ? lines.shift() : await (waiting = deferred<string | undefined>()).promise;
    // The Enter key was not shown either.
    stderr.line();
    return answer;
  };
  try {
    for (;;) {
      const first = await ask(`${what}: `);
      const again = first === undefined ? undefined : await ask(`${what}, again: `);
      if (again === undefined || again === first) return again;
      stderr.line('They differ. Try again.');
    }
  } finally {
    terminal.close();
  }
}
