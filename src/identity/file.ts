import { PortalError, systemCode } from '../lib/errors.js';
import type { Identity } from './identity.js';
import { generateIdentity, identityFromPrivateKey, privateKeyOf } from './keys.js';
import { createFile, explainUnreadable, PRIVATE_MODE, readPrivateFile } from '../lib/private-file.js';

/** An identity as its file holds it. */
interface IdentityFile {
  readonly version: 1;
  readonly address: string;
  /** 0x and 64 hex digits. */
  readonly privateKey: string;
}

/**
 * The identity in `file`. With `create`, one is made on first use (file 0600 in a folder 0700); two processes
 * that start at once end up with the same one.
 *
 * Throws `identity_unsafe` when other users can read the file, `identity_unreadable` when this one may not,
 * `identity_invalid` when it is missing (without
 * `create`) or is no identity, `state_unwritable` when it cannot be made.
 */
export async function loadIdentity(
  file: string,
  options: { create: boolean; onCreated?: (identity: Identity) => void },
): Promise<Identity> {
  const existing = await readIdentity(file);
  if (existing) return existing;
  if (!options.create) {
    throw new PortalError('identity_invalid', `there is no identity at ${file}`, {
      hint: '`portal up` makes one on first use; to move one here, write what `portal identity export` prints to that file.',
    });
  }
  const fresh = generateIdentity();
  if (await createFile(file, exportIdentity(fresh), PRIVATE_MODE)) {
    options.onCreated?.(fresh);
    return fresh;
  }
  const winner = await readIdentity(file);
  if (!winner) throw new PortalError('state_unwritable', `${file} vanished while it was being made`);
  return winner;
}

/** The text of an identity file, private key included: what `portal identity export` prints. */
export function exportIdentity(identity: Identity): string {
  const content: IdentityFile = {
    version: 1,
    address: identity.address,
    privateKey: privateKeyOf(identity),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

async function readIdentity(file: string): Promise<Identity | undefined> {
  let text: string | undefined;
  try {
    text = await readPrivateFile(file, 'identity_unsafe');
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const denied = explainUnreadable(file, error);
    if (denied)
      throw new PortalError('identity_unreadable', denied.message, { cause: error, hint: denied.hint });
    throw invalid(file, `cannot be read (${systemCode(error) ?? String(error)})`, error);
  }
  return text === undefined ? undefined : parseIdentity(text, file);
}

/** Errors name what is wrong and carry no cause: JSON.parse quotes its input, which holds the key. */
function parseIdentity(text: string, file: string): Identity {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw invalid(file, 'is not JSON');
  }
  if (typeof content !== 'object' || content === null) throw invalid(file, 'is not a JSON object');
  const { version, address, privateKey }: Partial<Record<keyof IdentityFile, unknown>> = content;
  if (version !== 1) throw invalid(file, 'is not of version 1');
  if (typeof address !== 'string' || typeof privateKey !== 'string') {
    throw invalid(file, 'has no address or no privateKey');
  }
  const identity = tryIdentity(privateKey);
  if (!identity) throw invalid(file, 'holds no valid private key');
  if (identity.address.toLowerCase() !== address.toLowerCase()) {
    throw invalid(file, 'holds a private key that does not belong to its address');
  }
  return identity;
}

function tryIdentity(privateKey: string): Identity | undefined {
  try {
    return identityFromPrivateKey(privateKey);
  } catch {
    return undefined;
  }
}

function invalid(file: string, what: string, cause?: unknown): PortalError {
  return new PortalError('identity_invalid', `${file} ${what}`, { cause });
}
