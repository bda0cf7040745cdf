import { fieldsOf, listOf, textOf, type Draft, type DraftService, type Fields } from './draft.js';

/** Container ports whose protocol is not HTTP and does not start with TLS. */
const TCP_PORTS: ReadonlySet<number> = new Set([
  21, 22, 25, 1433, 1521, 1883, 3306, 5432, 5672, 6379, 9042, 11211, 25565, 27017,
]);

/** Databases, caches and queues. Nobody should publish these by accident. */
const PRIVATE_PORTS: ReadonlySet<number> = new Set([
  1433, 1521, 3306, 5432, 5672, 6379, 9042, 9200, 9229, 11211, 27017,
]);

interface Port {
  /** The port on this machine. Undefined if Docker chooses it. */
  readonly published: number | undefined;
  readonly container: number;
  /** Published only on a loopback address. */
  readonly isLocal: boolean;
  readonly isUdp: boolean;
}

/** The published ports of a Docker Compose file (https://docs.docker.com/reference/compose-file/services/#ports). */
export function fromCompose(file: Fields, draft: Draft): void {
  for (const [name, value] of Object.entries(fieldsOf(file['services']))) {
    const written = listOf(fieldsOf(value)['ports']);
    if (written.length === 0) {
      draft.note(`${name}: it publishes no port on this machine, so it has no service here.`);
      continue;
    }
    for (const one of written) addPort(name, one, written.length > 1, draft);
  }
}

function addPort(name: string, written: unknown, isOneOfSeveral: boolean, draft: Draft): void {
  const short = textOf(written);
  const port = short === undefined ? longForm(fieldsOf(written)) : shortForm(short);
  if (!port?.published) {
    draft.note(
      `${name}: the port ${short ?? JSON.stringify(written)} was not converted: it names no single port of this machine.`,
    );
    return;
  }
  const service: DraftService = { target: port.published };
  if (port.isUdp) service.mode = 'udp';
  else if (TCP_PORTS.has(port.container)) service.mode = 'tcp';
  const why = port.isLocal
    ? 'Compose publishes it on this machine only'
    : PRIVATE_PORTS.has(port.container)
      ? 'a database, cache, queue or debugger listens there'
      : undefined;
  if (why !== undefined) {
    draft.note(`${name}: the port ${port.published} was not converted: ${why}.`);
    return;
  }
  draft.add(isOneOfSeveral ? `${name}-${port.container}` : name, service);
}

/** `[HOST:]PUBLISHED:CONTAINER[/PROTOCOL]`; variables and ranges are unsupported. */
function shortForm(text: string): Port | undefined {
  const match = /^(?:(\d+\.[\d.]+|\[[\da-fA-F:]+\]|localhost):)?(?:(\d+):)?(\d+)(?:\/(tcp|udp))?$/.exec(text);
  if (!match) return undefined;
  const [, address, published, container, protocol] = match;
  return {
    published: published === undefined ? undefined : Number(published),
    container: Number(container),
    isLocal: isLoopbackText(address),
    isUdp: protocol === 'udp',
  };
}

function isLoopbackText(address: string | undefined): boolean {
  return address !== undefined && /^(127\.|localhost$|\[?::1\]?$)/.test(address);
}

function longForm(port: Fields): Port | undefined {
  const [published, container] = [textOf(port['published']), textOf(port['target'])];
  if (container === undefined || !/^\d+$/.test(`${published ?? ''}${container}`)) return undefined;
  return {
    published: published === undefined ? undefined : Number(published),
    container: Number(container),
    isLocal: isLoopbackText(textOf(port['host_ip'])),
    isUdp: port['protocol'] === 'udp',
  };
}
