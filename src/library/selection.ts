import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';
import { nearest } from '../config/words/suggest.js';

export interface Selected {
  /** Services by name. Empty: all whose profile is active. */
  readonly names: readonly string[];
  /** Active profiles. */
  readonly profiles: readonly string[];
}

/** The active profiles: the given ones, else those of PORTAL_PROFILES. */
export function activeProfiles(
  env: NodeJS.ProcessEnv,
  given: readonly string[] | undefined,
): readonly string[] {
  return given ?? (env['PORTAL_PROFILES'] ?? '').split(',').filter(Boolean);
}

/**
 * Selects the named services, or those without profiles and those of an active profile; and all that these depend on. A
 * service may be removed from the file and added again.
 */
export function selection({ names, profiles }: Selected): (desired: Desired) => Desired {
  return (desired) => {
    const wanted = new Set(names.length > 0 ? names : activeServices(desired, profiles));
    // A set visits what is added while it is read.
    for (const name of wanted)
      for (const other of desired.services.find(({ service }) => service === name)?.dependsOn ?? [])
        wanted.add(other);
    return { ...desired, services: desired.services.filter(({ service }) => wanted.has(service)) };
  };
}

function activeServices({ services }: Desired, active: readonly string[]): string[] {
  return services
    .filter(({ profiles = [] }) => profiles.length === 0 || profiles.some((each) => active.includes(each)))
    .map(({ service }) => service);
}

/** Throws `usage` if no service has a profile. */
export function checkProfiles(profiles: readonly string[], { services }: Desired): void {
  const known = [...new Set(services.flatMap(({ profiles: own = [] }) => own))];
  const unknown = profiles.find((each) => !known.includes(each));
  if (unknown === undefined) return;
  const meant = nearest(unknown, known);
  const all =
    known.length === 0 ? 'Omit --profile, or add `profiles` to a service.' : `Profiles: ${known.join(', ')}.`;
  throw new PortalError('usage', `no service has the profile ${JSON.stringify(unknown)}`, {
    hint: meant === undefined ? all : `Did you mean \`${meant}\`?`,
  });
}
