import type { Problem } from '../../config/text/problem.js';
import { rewording, type Reporter, type TimedEvent } from '../reporters/reporter.js';

/** Words for problems in a configuration that the flags of `portal expose` define. Its user has no portal.yaml to edit. */

/** The flag of a key; keys without one can only be in portal.yaml. */
const FLAGS: Readonly<Record<string, string>> = {
  name: '--name',
  pin: '--pin',
  allowIps: '--allow-ip',
  identities: '--allow-identity',
  inspect: '--inspect',
  host: '--host-header',
  port: '--port',
  routes: '--http-route',
  ca: '--ca',
  chain: '--chain',
};

/** The flag whose value has the problem, by the place in the document. */
const PLACES: readonly (readonly [place: RegExp, flag: string])[] = [
  [/^\/services\/[^/]+\/(?:access\/)?(name|pin|allowIps|identities|inspect|host|port|routes)\b/, ''],
  [/^\/relays\/urls\b/, '--relay'],
  [/^\/chains\b/, '--chain'],
];

type Words = Pick<Problem, 'message' | 'hint'>;

/** The same problem in terms of flags. */
export function inFlags({ path, message, hint }: Pick<Problem, 'path' | 'message' | 'hint'>): Words {
  const flag = flagOf(path);
  const words = flagsIn(message.replace(/^chain "chain"/, '--chain'));
  const isNamed = flag === undefined || words.includes(flag);
  return {
    message: isNamed ? words : `${flag}: ${words}`,
    ...(hint !== undefined && { hint: flagsIn(hint) }),
  };
}

/** A reporter of events whose errors advise flags. */
export function reportingFlags(reporter: Reporter): Reporter {
  return rewording(reporter, { event: eventInFlags });
}

function eventInFlags(event: TimedEvent): TimedEvent {
  if (event.event === 'notice' && event.kind === 'port_in_use')
    return {
      ...event,
      message: `${event.message.split(';')[0]}; to choose a port, run portal relay --listen localhost:8444, and add --relay https://localhost:8444`,
    };
  if ((event.event !== 'lease' && event.event !== 'unplaced') || event.error === undefined) return event;
  return { ...event, error: { ...event.error, ...inFlags({ path: '', ...event.error }) } };
}

function flagOf(path: string): string | undefined {
  for (const [place, flag] of PLACES) {
    const match = place.exec(path);
    if (match) return flag || FLAGS[match[1]!];
  }
  return undefined;
}

/** What relays and agents advise for a file, and flags for the same. */
const ADVICE: readonly (readonly [pattern: RegExp, flags: string])[] = [
  [/write its file in portal\.yaml: `relays: [^`]*`/, 'name its file: --ca FILE'],
  [/`name: ([^`]*)-\$\{user\}`/, '--name $1-$$USER'],
];

/** Replaces `key: value` by the flag. */
function flagsIn(text: string): string {
  const advised = ADVICE.reduce((all, [pattern, flags]) => all.replace(pattern, flags), text);
  return advised.replace(/`(?:access\.)?(\w+)(?:: ([^`]*))?:?`/g, (quoted, key: string, value?: string) => {
    const flag = Object.hasOwn(FLAGS, key) ? FLAGS[key]! : undefined;
    if (flag === undefined) return key === 'hostname' ? `${quoted} in portal.yaml` : quoted;
    return value === undefined ? flag : `${flag} ${argument(value)}`;
  });
}

/** A list is separated by commas on the command line. */
function argument(value: string): string {
  return value.startsWith('["') ? (JSON.parse(value) as string[]).join(',') : value;
}
