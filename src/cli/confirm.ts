import type { Context } from './context.js';

/** Ctrl-D and anything but `y` or `yes` is a no. */
export type Answer = 'yes' | 'no' | 'interrupted';

export async function confirm(
  { stdin, stderr }: Pick<Context, 'stdin' | 'stderr'>,
  question: string,
): Promise<Answer> {
  const { createInterface } = await import('node:readline');
  const terminal = createInterface({ input: stdin, output: stderr.stream });
  return new Promise((resolve) => {
    const end = (answer: Answer, isLineEnded: boolean): void => {
      // End the line of the question.
      if (!isLineEnded) stderr.line();
      resolve(answer);
      terminal.removeAllListeners();
      terminal.close();
    };
    terminal.once('SIGINT', () => end('interrupted', false));
    terminal.once('close', () => end('no', false));
    terminal.question(question, (text) => end(/^y(es)?$/i.test(text.trim()) ? 'yes' : 'no', true));
  });
}
