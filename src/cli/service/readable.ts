import { usesAcme } from '../../certificates/spec.js';
import { access, constants } from 'node:fs/promises';
import type { RelaySpec, ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { cannotRead, PortalError, unreadableHint } from '../../lib/errors.js';

/** Throws `config_unreadable` for files that the configuration names and that this user, who runs the service, cannot read. */
export async function checkReadable(desired: Desired): Promise<void> {
  const all = await Promise.all([...filesOf(desired)].map(async ([file, of]) => failureOf(file, of)));
  const failures = all.filter((failure) => failure !== undefined);
  const [first] = failures;
  if (!first) return;
  throw new PortalError('config_unreadable', failures.map(({ message }) => message).join('; '), {
    cause: first.error,
    hint: `${unreadableHint(first.error) ?? 'Check the path.'} The service runs as your user, without sudo.`,
  });
}

async function failureOf(file: string, of: string): Promise<{ message: string; error: unknown } | undefined> {
  try {
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return { message: cannotRead(`${file} (${of})`, error), error };
  }
}

/** Files that must exist before the agent starts, and what they are. */
function filesOf({ relays, services, candidates }: Desired): Map<string, string> {
  const cas = [...relays, ...services.flatMap((service) => service.relays)].flatMap(casOf);
  return new Map([
    ...[...cas, ...Object.values(candidates?.caFiles ?? {})].map((file) => [file, 'CA of a relay'] as const),
    ...services.flatMap(ownFilesOf),
  ]);
}

function casOf(relay: RelaySpec): string[] {
  if (relay.kind === 'chain') return relay.hops.flatMap(casOf);
  return relay.kind === 'url' && relay.caFile !== undefined ? [relay.caFile] : [];
}

function ownFilesOf({ service, tls, targetTls }: ServiceSpec): (readonly [file: string, of: string])[] {
  const own = targetTls.caFile === undefined ? [] : [[targetTls.caFile, `targetTls of ${service}`] as const];
  if (tls.source === 'files')
    return [...own, [tls.certFile, `tls of ${service}`], [tls.keyFile, `tls of ${service}`]];
  return usesAcme(tls) && tls.caFile !== undefined ? [...own, [tls.caFile, 'CA of acme']] : own;
}
