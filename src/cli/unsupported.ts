import { PortalError } from '../lib/errors.js';

/** Options of the contract that this version does not do yet, by command. Whoever builds one deletes it here. */
export const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  expose: ['--inspect'],
};

/** Refuses what was asked for and would otherwise be ignored. Throws `not_supported`. */
export function refuseUnsupported(command: string, options: object): void {
  const given = new Set(Object.keys(options));
  const flags = (UNSUPPORTED[command] ?? []).filter((flag) => given.has(attributeName(flag)));
  if (flags.length === 0) return;
  throw new PortalError('not_supported', `not supported yet: ${flags.join(', ')}`, {
    hint: 'Leave it out, or update Portal once it is there.',
  });
}

/** What commander calls an option's value: `--udp-addr` is `udpAddr`. */
function attributeName(flag: string): string {
  return flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
