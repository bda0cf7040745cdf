import { PortalError } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';

/** Stands in for a command that is to come. */
export function notThere(name: string) {
  return {
    run: (_context: Context, _input: CommandInput<object>): Promise<ExitCode> =>
      Promise.reject(
        new PortalError('not_supported', `not supported yet: portal ${name}`, {
          hint: '`portal --help` shows what there is. Update Portal once it is there.',
        }),
      ),
  };
}
