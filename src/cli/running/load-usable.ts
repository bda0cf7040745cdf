import type { Problem } from '../../config/text/problem.js';
import { fromPointer } from '../../config/text/tree.js';
import { ConfigInvalid } from '../../library/config-invalid.js';
import { load, loadOptions, type Loaded } from '../../library/load.js';
import type { Context } from '../context.js';

/** What can be loaded of the configuration. */
export interface Usable {
  readonly loaded?: Loaded;
  readonly problems: readonly Problem[];
  /** Services that have mistakes, and are not in `loaded`. */
  readonly broken: readonly string[];
  /** The error that `problems` are from. Set if there are any. */
  readonly invalid?: ConfigInvalid;
}

/** As `loadUsable`, but throws `ConfigInvalid` if there are mistakes outside of services. */
export async function needUsable(
  context: Context,
  file: string | undefined,
): Promise<Usable & { readonly loaded: Loaded }> {
  const { loaded, ...rest } = await loadUsable(context, file);
  if (!loaded) throw rest.invalid ?? new ConfigInvalid(rest.problems);
  return { ...rest, loaded };
}

/** Loads the configuration, without the services that have mistakes. Throws if there is no readable file. */
export async function loadUsable(context: Context, file: string | undefined): Promise<Usable> {
  const options = loadOptions(context, file);
  try {
    return { loaded: await load(options), problems: [], broken: [] };
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    const { problems } = error;
    const broken = brokenServices(problems);
    if (!broken) return { problems, broken: [], invalid: error };
    const { loadConfig } = await import('../../config/load.js');
    const rest = await loadConfig({ ...options, without: broken });
    return { problems, broken, invalid: error, ...(rest.ok && { loaded: rest }) };
  }
}

/** The services with mistakes; undefined if there are mistakes elsewhere. */
function brokenServices(problems: readonly Problem[]): string[] | undefined {
  const names = problems.map(({ path }) => {
    const [key, name] = fromPointer(path);
    return key === 'services' ? name : undefined;
  });
  return names.every((name) => name !== undefined) ? [...new Set(names)] : undefined;
}
