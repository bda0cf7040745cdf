import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';
import { silent } from '../lib/logger.js';
import type { Notice } from '../reconcile/notices.js';
import { admission } from './admission.js';
import { Permits } from './allow/permits.js';
import type { Configuration, UpOptions } from './api.js';
import { documentOptions, explained } from './document.js';
import { load, ownedLoadOptions, type Loaded } from './load.js';
import { activeProfiles, checkProfiles, selection } from './selection.js';
import type { Session } from './session.js';
import type { Surroundings } from './surroundings.js';
import { checkServices } from './unknown-service.js';

/** Where the configuration of a program comes from. */
export interface Source {
  /** Loads and checks it, and selects the services to run. */
  load(): Promise<{ readonly desired: Desired; readonly made: readonly Notice[] }>;
  /** Applies each save until the session closes. Call it after `load`. Absent for an object. */
  follow?(session: Session): Promise<void>;
}

type Options = Pick<UpOptions, 'services' | 'profiles' | 'allow' | 'onWarning'>;

/** A program allows its own object. It is not watched. */
export function objectSource(
  configuration: Configuration,
  surroundings: Surroundings,
  options: Options,
): Source {
  return {
    load: async () => {
      try {
        const document: unknown = { version: 1, ...configuration };
        const loaded = await load(
          documentOptions(document, ownedLoadOptions(surroundings, '-', runs(options))),
        );
        return { desired: selected(loaded, surroundings, options), made: [] };
      } catch (error) {
        throw explained(error, true);
      }
    },
  };
}

/** A file, or the one that `portal up` would find. It needs the permissions of its user. */
export function fileSource(file: string | undefined, surroundings: Surroundings, options: Options): Source {
  if (file === '-') throw new PortalError('usage', 'up cannot read standard input: pass an object or a file');
  const permits = new Permits(surroundings, options.allow);
  const loading = ownedLoadOptions(surroundings, file, runs(options));
  let loaded: Loaded | undefined;
  return {
    load: async () => {
      try {
        const first = await load(loading);
        const admitted = await admission(surroundings, loading, first, async (each) => {
          await permits.need(each);
          return undefined;
        });
        ({ loaded } = admitted);
        return { desired: selected(loaded, surroundings, options), made: admitted.made };
      } catch (error) {
        throw explained(error, false);
      }
    },
    follow: async (session) => {
      // Imported late: most programs watch nothing.
      const { followFile } = await import('./follow-file.js');
      const follow = followFile({
        loading,
        loaded: loaded!,
        gate: permits,
        select: (desired) => session.adopt(selectionOf(surroundings, options)(desired)),
        reporter: {
          problems: (problems, severity) => {
            if (severity === 'warning') for (const { message } of problems) options.onWarning?.(message);
          },
          warning: (message) => options.onWarning?.(message),
        },
      });
      await follow(session.runner, silent, session.closing);
    },
  };
}

const runs =
  ({ services = [] }: Options) =>
  (service: string): boolean =>
    services.length === 0 || services.includes(service);

function selected({ desired, warnings }: Loaded, surroundings: Surroundings, options: Options): Desired {
  const known = desired.services.map(({ service }) => service);
  checkServices(options.services ?? [], known, 'the configuration');
  checkProfiles(options.profiles ?? [], desired);
  for (const { message } of warnings) options.onWarning?.(message);
  return selectionOf(surroundings, options)(desired);
}

const selectionOf = ({ env }: Surroundings, { services = [], profiles }: Options) =>
  selection({ names: services, profiles: activeProfiles(env, profiles) });
