import { PortalError, systemCode } from '../lib/errors.js';
import type { Identity } from './identity.js';
import { generateIdentity, identityFromPrivateKey, privateKeyOf } from './keys.js';
import { createFile, explainUnreadable, PRIVATE_MODE, readPrivateFile } from '../lib/private-file.js';

/** The content of an identity file. */
interface IdentityFile {
  readonly version: 1;
  readonly address: string;
  /** 0x and 64 hex digits. */
  readonly privateKey: string;
}

/**
 * The identity in `file`. With `create`, creates it on first use (file 0600 in a folder 0700). Two processes that start
 * together get the same identity.
 *
 * Throws `identity_unsafe` if other users can read the file, and `identity_unreadable` if this user cannot. Throws
 * `identity_invalid` if it is invalid, or missing without `create`, and `state_unwritable` if it cannot be created.
 */
export async function loadIdentity(
  file: string,
  options: { create: boolean; onCreated?: (identity: Identity) => void },
): Promise<Identity> {
  const existing = await readIdentity(file);
  if (existing) return existing;
  if (!options.create) {
    throw new PortalError('identity_invalid', `there is no identity at ${file}`, {
      hint: '`portal up` creates one on first use. To move an identity here, write the output of `portal identity export` to that file.',
    });
  }
  const fresh = generateIdentity();
  if (await createFile(file, exportIdentity(fresh), PRIVATE_MODE)) {
    options.onCreated?.(fresh);
    return fresh;
  }
  const winner = await readIdentity(file);
  if (!winner) throw new PortalError('state_unwritable', `${file} was removed while Portal created it`);
  return winner;
}

/** The text of an identity file, including the private key. `portal identity export` prints it. */
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

/** Errors name the mistake and have no cause: JSON.parse quotes its input, which contains the key. */
function parseIdentity(text: string, file: string): Identity {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw invalid(file, 'is not JSON');
  }
  if (typeof content !== 'object' || content === null) throw invalid(file, 'is not a JSON object');
  const { version, address, privateKey }: Partial<Record<keyof IdentityFile, unknown>> = content;
  if (version !== 1) throw invalid(file, 'is not version 1');
  if (typeof address !== 'string' || typeof privateKey !== 'string') {
    throw invalid(file, 'has no address or no privateKey');
  }
  const identity = tryIdentity(privateKey);
  if (!identity) throw invalid(file, 'contains no valid private key');
  if (identity.address.toLowerCase() !== address.toLowerCase()) {
    throw invalid(file, 'contains a private key that does not match its address');
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
