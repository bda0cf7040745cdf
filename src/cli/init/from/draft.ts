import { parseTarget } from '../../../net/target.js';
import { dnsLabel } from '../../../config/variables.js';

/** What a converted file says of one service, in the keys of portal.yaml. */
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

/** A portal.yaml in the making: services by name, and what could not be converted. */
export class Draft {
  readonly services = new Map<string, DraftService>();
  /** Sentences for the person, each about one service or the whole file. */
  readonly notes: string[] = [];

  /** Adds a service under a free name like `name`, and returns that name. */
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

  /** A target as portal.yaml writes it; undefined, with a note, for one that Portal cannot reach. */
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

/** A value of a file that may hold anything. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text or a number as text; undefined for anything else, and for an empty text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'number' || (typeof value === 'string' && value !== '') ? String(value) : undefined;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { ssh: 22, rdp: 3389, smb: 445, http: 80 };

function withPort(host: string, url: string): string {
  const port = DEFAULT_PORTS[url.slice(0, url.indexOf(':')).toLowerCase()];
  return /:\d+$/.test(host) || port === undefined ? host : `${host}:${port}`;
}
