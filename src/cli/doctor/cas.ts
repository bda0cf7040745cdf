import { exchange } from '../../certificates/acme/transport.js';
import type { AcmeSpec } from '../../certificates/spec.js';
import { readConfined } from '../../lib/confined.js';
import { cannotRead, PortalError } from '../../lib/errors.js';
import { proxyFor } from '../proxy.js';

/** The public CAs of one run. Many services use the same one, so it is asked once. */
export class Cas {
  readonly #asked = new Map<string, Promise<readonly string[]>>();

  /** Fetches the CA's directory, and returns the CA's names in CAA records. */
  caaIdentities(spec: AcmeSpec): Promise<readonly string[]> {
    const key = causeOf(spec);
    let identities = this.#asked.get(key);
    if (!identities) this.#asked.set(key, (identities = caaIdentities(spec)));
    return identities;
  }
}

/** The cause of every problem with reaching this CA. */
export const causeOf = ({ directory, caFile = '' }: AcmeSpec): string => `acme ${directory} ${caFile}`;

async function caaIdentities({ directory, caFile }: AcmeSpec): Promise<readonly string[]> {
  const trust =
    caFile === undefined
      ? undefined
      : await readConfined(caFile).catch((error: unknown) => {
          throw new PortalError('acme_unreachable', cannotRead(caFile, error), {
            hint: 'Check the path in `acme: { ca }`. It is relative to the file that contains it.',
          });
        });
  const wire = { signal: AbortSignal.timeout(10_000), proxyFor, ...(trust !== undefined && { trust }) };
  const { status, text } = await exchange(wire, { url: directory, method: 'GET' });
  const parsed = status === 200 ? tryJson(text) : undefined;
  if (!parsed?.newOrder)
    throw new PortalError('acme_unreachable', `${directory} is not the directory of a CA (HTTP ${status})`, {
      hint: 'Correct `acme: { directory }`.',
    });
  return parsed.meta?.caaIdentities ?? [];
}

function tryJson(text: string): { newOrder?: string; meta?: { caaIdentities?: string[] } } | undefined {
  try {
    return JSON.parse(text) as { newOrder?: string };
  } catch {
    return undefined;
  }
}
