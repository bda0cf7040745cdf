import { loadConfig } from '../config/load.js';
import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/problem.js';
import { PortalError } from '../lib/errors.js';

/**
 * Validates a configuration that a program or a command line describes, like a file. Rejects with its first problem; `worded`
 * changes its words.
 */
export async function loadDocument(
  document: unknown,
  { cwd, env }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  worded: (problem: Problem) => Pick<Problem, 'message' | 'hint'> = (problem) => problem,
): Promise<Desired> {
  const result = await loadConfig({
    file: '-',
    cwd,
    env,
    // JSON is YAML. Escape `$`: such a document contains no variables.
    stdin: () => Promise.resolve(JSON.stringify(document).replaceAll('$', '$$$$')),
  });
  if (result.ok) return result.desired;
  const [problem] = result.problems;
  const { message, hint } = worded(problem!);
  const code = problem!.code === 'config_invalid' ? 'usage' : problem!.code;
  throw new PortalError(code, message, hint === undefined ? {} : { hint });
}
