import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/text/problem.js';
import type { Notice } from '../reconcile/notices.js';
import { admission, type Gate } from './admission.js';
import type { Configuration } from './api.js';
import { documentOptions } from './document.js';
import type { FollowReporter } from './follow-file.js';
import { load, ownedLoadOptions, type Loaded, type Reading } from './load.js';
import { activeProfiles, checkProfiles, selection } from './selection.js';
import type { Session } from './session.js';
import { checkServices } from './unknown-service.js';

/** Where the configuration of an agent comes from. */
export interface Source<Refusal = never> {
  /** Loads and checks it, asks for its permissions, and selects the services to run. Throws `ConfigInvalid`. */
  load(): Promise<Sourced<Refusal>>;
  /** Selects the services to run. */
  readonly select: (desired: Desired) => Desired;
  /** Applies each save until the session closes. Call it after `load`. Absent for an object. */
  follow?(session: Session, reporter: FollowReporter): Promise<void>;
}

export interface Sourced<Refusal> {
  /** Only the selected services. */
  readonly desired: Desired;
  /** Notices about files that were created. */
  readonly made: readonly Notice[];
  readonly warnings: readonly Problem[];
  /** Why the configuration must not run. */
  readonly refusal: Refusal | undefined;
}

export interface SourceOptions {
  /** The services to run. Default: all whose profile is active. */
  readonly services?: readonly string[] | undefined;
  /** Active profiles. Default: those of PORTAL_PROFILES. */
  readonly profiles?: readonly string[] | undefined;
}

/** A program allows its own object. It is not watched. */
export function objectSource(
  configuration: Configuration,
  surroundings: Reading,
  options: SourceOptions,
): Source {
  const select = selectionOf(surroundings, options);
  return {
    select,
    load: async () => {
      const document: unknown = { version: 1, ...configuration };
      const loading = documentOptions(document, ownedLoadOptions(surroundings, '-', runs(options)));
      const { desired, warnings } = checked(await load(loading), options);
      return { desired: select(desired), warnings, made: [], refusal: undefined };
    },
  };
}

/** A file, or the one that `portal up` would find. It needs the permissions of its user. */
export function fileSource<Refusal>(
  file: string | undefined,
  surroundings: Reading,
  options: SourceOptions & { readonly gate: Gate<Refusal> },
): Source<Refusal> & Required<Pick<Source, 'follow'>> {
  const { gate } = options;
  const loading = ownedLoadOptions(surroundings, file, runs(options));
  const select = selectionOf(surroundings, options);
  let loaded: Loaded | undefined;
  return {
    select,
    load: async () => {
      const first = checked(await load(loading), options);
      const { made, refusal, ...admitted } = await admission(surroundings, loading, first, gate);
      ({ loaded } = admitted);
      return { desired: select(loaded.desired), warnings: loaded.warnings, made, refusal };
    },
    follow: async (session, reporter) => {
      // Imported late: most programs watch nothing.
      const { followFile } = await import('./follow-file.js');
      await followFile(session, { loading, loaded: loaded!, gate, select, reporter });
    },
  };
}

const runs =
  ({ services = [] }: SourceOptions) =>
  (service: string): boolean =>
    services.length === 0 || services.includes(service);

/** Throws `usage` for services and profiles that `loaded` does not have. */
function checked(loaded: Loaded, { services = [], profiles = [] }: SourceOptions): Loaded {
  const known = loaded.desired.services.map(({ service }) => service);
  checkServices(services, known, 'the configuration');
  checkProfiles(profiles, loaded.desired);
  return loaded;
}

const selectionOf = ({ env }: Reading, { services = [], profiles }: SourceOptions) =>
  selection({ names: services, profiles: activeProfiles(env, profiles) });
