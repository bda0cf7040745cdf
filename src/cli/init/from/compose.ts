import { dnsLabel } from '../../../config/variables/variables.js';
import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** Container ports whose protocol is not HTTP and does not start with TLS. */
const TCP_PORTS: ReadonlySet<number> = new Set([
  21, 22, 25, 587, 1025, 1433, 1521, 1883, 3306, 5432, 5672, 6379, 9042, 11211, 25565, 27017,
]);

const TLS_PORTS: ReadonlySet<number> = new Set([443, 8443]);

/** Databases, caches and queues, which are rarely meant to be public. */
const PRIVATE_PORTS: ReadonlySet<number> = new Set([
  1433, 1521, 3306, 5432, 5672, 6379, 9042, 9200, 9229, 11211, 27017,
]);

interface Port {
  /** The port on this machine. Undefined if Docker chooses it. */
  readonly published: number | string | undefined;
  readonly container: number;
  /** Published only on a loopback address. */
  readonly isLocal: boolean;
  readonly isUdp: boolean;
}

/** The published ports of a Docker Compose file (https://docs.docker.com/reference/compose-file/services/#ports). */
export function fromCompose(file: Fields, draft: Draft): void {
  for (const [name, value] of Object.entries(fieldsOf(file['services']))) {
    const written = listOf(fieldsOf(value)['ports']).flatMap(eachOf);
    const { network_mode: network, profiles, extends: base } = fieldsOf(value);
    if (base !== undefined)
      draft.note(`${name}: ports that it inherits with \`extends\` were not converted.`);
    if (written.length === 0) {
      draft.note(
        network === 'host'
          ? `${name}: it uses the network of this machine. Write its port as a service.`
          : `${name}: it publishes no port on this machine, so it has no service here.`,
      );
      continue;
    }
    const ports = written.flatMap((one) => portToPublish(name, one, draft));
    // Docker publishes the same port on several addresses, such as 0.0.0.0 and [::].
    const published = ports.filter(
      (port, index) => ports.findIndex((other) => isSame(port, other)) === index,
    );
    const added = published.filter((port) => ![...draft.services.values()].some(isServiceOf(port)));
    for (const port of added)
      draft.add(added.length > 1 ? `${name}-${port.container}` : name, serviceOf(port));
    if (listOf(profiles).length > 0 && added.length > 0)
      draft.note(`${name}: it runs only with a profile of Compose: ${listOf(profiles).join(', ')}.`);
  }
  if (file['include'] !== undefined) draft.note('Services of files in `include` were not converted.');
}

/** A range with more ports than this is not converted. */
const MAX_RANGE = 20;

/** The ports of a short range, `[HOST:]9000-9005:9000-9005[/PROTOCOL]`, one by one. Other ports unchanged. */
function eachOf(written: unknown): unknown[] {
  const match = /^(.*:)?(\d{1,5})-(\d{1,5}):(\d{1,5})-(\d{1,5})(\/\w+)?$/.exec(textOf(written) ?? '');
  if (!match) return [written];
  const [, address = '', ...rest] = match;
  const [from, to, inner, innerTo] = rest.slice(0, 4).map(Number) as [number, number, number, number];
  const count = to - from + 1;
  if (count < 1 || count > MAX_RANGE || innerTo - inner + 1 !== count) return [written];
  return Array.from({ length: count }, (_, i) => `${address}${from + i}:${inner + i}${match[6] ?? ''}`);
}

/** The port, unless Portal cannot convert it or should not publish it; then a note says why. */
function portToPublish(name: string, written: unknown, draft: Draft): PublishedPort[] {
  const short = textOf(written);
  const port = short === undefined ? longForm(fieldsOf(written)) : shortForm(short);
  if (!isPublished(port)) {
    const shown =
      short ?? textOf(fieldsOf(written)['published']) ?? textOf(fieldsOf(written)['target']) ?? '';
    draft.note(`${name}: the port ${shown} was not converted: ${whyNot(shown)}`);
    return [];
  }
  const why = port.isLocal
    ? 'Compose publishes it on this machine only'
    : PRIVATE_PORTS.has(port.container)
      ? 'a database, cache, queue or debugger listens there'
      : undefined;
  if (why === undefined) return [port];
  const { mode, target } = serviceOf(port);
  const asService = mode === undefined ? target : `{ mode: ${mode}, target: ${target} }`;
  draft.note(
    `${name}: the port ${port.published} was not converted: ${why}. To publish it anyway, write \`${dnsLabel(name)}: ${asService}\`.`,
  );
  return [];
}

type PublishedPort = Port & { readonly published: number | string };

const isPublished = (port: Port | undefined): port is PublishedPort => port?.published !== undefined;

const isSame = (one: PublishedPort, other: PublishedPort): boolean =>
  one.published === other.published && one.isUdp === other.isUdp;

/** Whether a service already publishes the port. */
const isServiceOf =
  (port: PublishedPort) =>
  ({ target, mode }: DraftService): boolean =>
    target === serviceOf(port).target && (mode === 'udp') === port.isUdp;

function serviceOf({ published, container, isUdp }: PublishedPort): DraftService {
  const target = !isUdp && TLS_PORTS.has(container) ? `https://localhost:${published}` : published;
  if (isUdp) return { target, mode: 'udp' };
  return { target, ...(TCP_PORTS.has(container) && { mode: 'tcp' as const }) };
}

function whyNot(written: string): string {
  const variable = /\$\{\w+\}|\$\w+/.exec(written)?.[0];
  if (variable !== undefined)
    return `set the variable, and write \`target: \${${variable.replace(/\W/g, '')}}\`.`;
  if (/\d-\d/.test(written))
    return `it is a range of more than ${MAX_RANGE} ports, or of ports that Docker chooses. Write a service for each port.`;
  return 'Docker chooses its port on this machine. Publish a fixed one, such as "8080:80".';
}

/** `[HOST:]PUBLISHED:CONTAINER[/PROTOCOL]`; `eachOf` has split ranges. A variable needs a default. */
function shortForm(text: string): Port | undefined {
  const match =
    /^(?:(\d+\.[\d.]+|\[[\da-fA-F:]+\]|localhost|::1):)?(?:(\d+|\$\{\w+:-\d+\}):)?(\d+)(?:\/(tcp|udp))?$/.exec(
      text,
    );
  if (!match) return undefined;
  const [, address, published, container, protocol] = match;
  return {
    published: portOf(published),
    container: Number(container),
    isLocal: isLoopbackText(address),
    isUdp: protocol === 'udp',
  };
}

function isLoopbackText(address: string | undefined): boolean {
  return address !== undefined && /^(127\.|localhost$|\[?::1\]?$)/.test(address);
}

/** A port, or a variable with a default. Portal and Compose have the same syntax for it. */
function portOf(text: string | undefined): number | string | undefined {
  if (text === undefined || /^0*$/.test(text)) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  return /^\$\{\w+:-\d+\}$/.test(text) ? text : undefined;
}

function longForm(port: Fields): Port | undefined {
  const [published, container] = [textOf(port['published']), textOf(port['target'])];
  if (container === undefined || !/^\d+$/.test(container)) return undefined;
  return {
    published: portOf(published),
    container: Number(container),
    isLocal: isLoopbackText(textOf(port['host_ip'])),
    isUdp: port['protocol'] === 'udp',
  };
}
