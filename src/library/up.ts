import { resolve } from 'node:path';
import { PortalError } from '../lib/errors.js';
import { Permits } from './allow/permits.js';
import type { Configuration, Portal, UpOptions } from './api.js';
import { explained } from './document.js';
import type { FollowReporter } from './follow-file.js';
import { RunningServices } from './running-service.js';
import { Session } from './session.js';
import { fileSource, objectSource, type Source, type Sourced } from './source.js';
import { surroundingsOf, type ProgramProcess, type Surroundings } from './surroundings.js';

/** Throws `PortalError`; then nothing runs. */
export async function upFrom(
  process: ProgramProcess,
  configuration: Configuration | string | undefined,
  options: UpOptions,
): Promise<Portal> {
  const { signal, timeoutMs, wait = true, watch = false, frozen = false } = options;
  signal?.throwIfAborted();
  const cwd = resolve(process.cwd, options.cwd ?? '');
  const surroundings = surroundingsOf({ ...process, cwd }, options.home);
  const source = sourceOf(configuration, surroundings, options);
  if (watch && !source.follow)
    throw new PortalError('usage', 'an object cannot be watched', {
      hint: 'Call apply with the next configuration, or name a file.',
    });
  const reporter = reporterOf(options);
  const { desired, made } = await sourced(source, reporter);
  const session = await Session.open({
    surroundings,
    desired,
    made,
    frozen,
    follow: watch ? (own) => source.follow!(own, reporter) : undefined,
    run: options,
  });
  try {
    signal?.throwIfAborted();
    if (wait)
      await session.ready({ ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) });
    return portalOf(session, (next) =>
      sourced(next === undefined ? source : sourceOf(next, surroundings, options), reporter),
    );
  } catch (error) {
    await session.close({ drainMs: 0 });
    throw signal?.aborted ? signal.reason : error;
  }
}

function sourceOf(
  configuration: Configuration | string | undefined,
  surroundings: Surroundings,
  options: UpOptions,
): Source {
  if (typeof configuration === 'object') return objectSource(configuration, surroundings, options);
  if (configuration === '-')
    throw new PortalError('usage', 'up cannot read standard input: pass an object or a file');
  const { services, profiles, allow } = options;
  return fileSource<never>(configuration, surroundings, {
    services,
    profiles,
    gate: new Permits(surroundings, allow),
  });
}

/** Loads it, and reports its warnings. */
async function sourced(source: Source, reporter: FollowReporter): Promise<Sourced<never>> {
  try {
    const found = await source.load();
    reporter.problems(found.warnings, 'warning');
    return found;
  } catch (error) {
    throw explained(error, !source.follow);
  }
}

/** An invalid save causes an event. */
const reporterOf = ({ onWarning }: UpOptions): FollowReporter => ({
  problems: (problems, severity) => {
    if (severity === 'warning') for (const { message } of problems) onWarning?.(message);
  },
  warning: (message) => onWarning?.(message),
});

function portalOf(
  session: Session,
  load: (configuration: Configuration | undefined) => Promise<Sourced<never>>,
): Portal {
  const services = new RunningServices(session);
  return {
    get services() {
      return services.all;
    },
    events: session.events,
    caFile: session.caFile,
    ready: (options) => session.ready(options),
    apply: async (configuration) => session.apply((await load(configuration)).desired),
    close: (options) => session.close(options),
    [Symbol.asyncDispose]: () => session.close(),
  };
}
