import type { Context } from '../context.js';
import { jsonReporter } from './json.js';
import type { Reporter } from './reporter.js';

/** The reporter for who is reading: a program, a person at a terminal, or a file. */
export async function createReporter(context: Context): Promise<Reporter> {
  const { stdout, stderr } = context;
  if (context.json) return jsonReporter(stdout);
  const { formatProblem } = await import('../../config/frame.js');
  const outputs = { stdout, stderr, formatProblem };
  if (stderr.isTTY && context.env['TERM'] !== 'dumb' && !context.env['CI']) {
    const { terminalReporter } = await import('./terminal.js');
    return terminalReporter(outputs);
  }
  const { plainReporter } = await import('./plain.js');
  return plainReporter(outputs);
}
