import { parseTarget } from '../../../net/target.js';
import { dnsLabel } from '../../../config/variables.js';

/** A converted service, with the keys of portal.yaml. */
export interface DraftService {
  mode?: 'stream' | 'http' | 'tcp' | 'udp';
  target?: string | number;
  name?: string;
  host?: string;
  port?: number;
  routes?: Record<string, string | number>;
  access?: { allowIps: string[] };
  inspect?: boolean;
  targetTls?: { insecureSkipVerify: boolean };
}

/** The draft of a portal.yaml: services by name, and what could not be converted. */
export class Draft {
  readonly services = new Map<string, DraftService>();
  /** Sentences for the user, each about one service or the whole file. */
  readonly notes: string[] = [];

  /** Adds a service under a free name similar to `name`, and returns that name. */
  add(name: string, service: DraftService): string {
    const label = dnsLabel(name);
    let free = label;
    for (let count = 2; this.services.has(free); count += 1) free = `${label.slice(0, 58)}-${count}`;
    this.services.set(free, service);
    return free;
  }

  note(sentence: string): void {
    this.notes.push(sentence);
  }

  /** A target in the syntax of portal.yaml. Undefined, with a note, if Portal cannot reach it. */
  target(service: string, written: unknown): string | number | undefined {
    const text = (textOf(written) ?? '').trim();
    const bare = /^(?:https?|tcp|tls|ssh|rdp|smb|udp):\/\/([^/]+)\/?$/i.exec(text);
    const plain = bare && !/^https:/i.test(text) ? withPort(bare[1]!, text) : text;
    try {
      parseTarget(plain);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.note(`${service}: the target ${JSON.stringify(text)} was not converted: ${error.message}.`);
      return undefined;
    }
    const local = /^(?:localhost:|127\.0\.0\.1:)?(\d+)$/.exec(plain);
    return local ? Number(local[1]) : plain;
  }
}

/** Values of a file that may contain anything. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A non-empty string or a number, as text. Undefined for other values. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'number' || (typeof value === 'string' && value !== '') ? String(value) : undefined;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { ssh: 22, rdp: 3389, smb: 445, http: 80 };

function withPort(host: string, url: string): string {
  const port = DEFAULT_PORTS[url.slice(0, url.indexOf(':')).toLowerCase()];
  return /:\d+$/.test(host) || port === undefined ? host : `${host}:${port}`;
}
