import { resolve } from 'node:path';
import { PortalError } from '../lib/errors.js';
import type { Configuration, Portal, UpOptions } from './api.js';
import { Session } from './session.js';
import { fileSource, objectSource, type Source } from './source.js';
import { surroundingsOf, type ProgramProcess } from './surroundings.js';

/** Throws `PortalError`; then nothing runs. */
export async function upFrom(
  process: ProgramProcess,
  configuration: Configuration | string | undefined,
  options: UpOptions,
): Promise<Portal> {
  const { signal, timeoutMs, wait = true, watch = false, frozen } = options;
  signal?.throwIfAborted();
  const cwd = resolve(process.cwd, options.cwd ?? '');
  const surroundings = surroundingsOf({ ...process, cwd }, options.home);
  const source =
    typeof configuration === 'object'
      ? objectSource(configuration, surroundings, options)
      : fileSource(configuration, surroundings, options);
  if (watch && !source.follow)
    throw new PortalError('usage', 'an object cannot be watched', {
      hint: 'Call apply with the next configuration, or name a file.',
    });
  const { desired, made } = await source.load();
  const session = await Session.open({
    surroundings,
    desired,
    made,
    run: options,
    ...(frozen !== undefined && { frozen }),
  });
  try {
    if (watch) await source.follow?.(session);
    if (wait)
      await session.ready({ ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) });
    return portalOf(session, source, (next) => objectSource(next, surroundings, options));
  } catch (error) {
    await session.close({ drainMs: 0 });
    throw signal?.aborted ? signal.reason : error;
  }
}

function portalOf(
  session: Session,
  source: Source,
  sourceOf: (configuration: Configuration) => Source,
): Portal {
  return {
    get services() {
      return session.services;
    },
    events: session.events,
    caFile: session.caFile,
    ready: (options) => session.ready(options),
    apply: async (configuration) => {
      const { desired } = await (configuration === undefined ? source : sourceOf(configuration)).load();
      return session.apply(desired);
    },
    close: (options) => session.close(options),
    [Symbol.asyncDispose]: () => session.close(),
  };
}
