import type { CommandInput, Context, ExitCode } from '../context.js';
import { load, loadOptions } from '../../library/load.js';
import { runChild } from '../run-child.js';
import { serviceVariables } from '../running/service-variables.js';

interface Options {
  readonly file?: string;
  /** A service, or a command such as `app/api`. */
  readonly service?: string;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(loadOptions(context, options.file));
  const variables = await serviceVariables(context, loaded, options.service);
  const [program = '', ...rest] = args;
  return runChild(program, rest, { cwd: context.cwd, env: { ...context.env, ...variables } });
}
