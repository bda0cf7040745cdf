import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isAddress, checksummed } from '../../lib/eip55.js';
import { isMissing, PortalError, systemCode } from '../../lib/errors.js';
import { makePrivateFolder } from '../../lib/private-file.js';
import { updateFile } from '../../lib/shared-file.js';

/** The agents that this user has accepted, like ssh's known_hosts: a file of lines `HOSTNAME ADDRESS`. */

/** The address of the agent that serves `hostname`, EIP-55. Throws `config_unreadable` if the file cannot be read. */
export async function knownAgent(file: string, hostname: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new PortalError('config_unreadable', `cannot read ${file} (${systemCode(error)})`, {
      cause: error,
    });
  }
  const [address] = text.split('\n').flatMap((line) => {
    const [name, known] = line.trim().split(/\s+/);
    return name === hostname && known !== undefined && isAddress(known) ? [checksummed(known)] : [];
  });
  return address;
}

/** Accepts `address` for `hostname` from now on. Other lines stay as they are. */
export async function rememberAgent(file: string, hostname: string, address: string): Promise<void> {
  await makePrivateFolder(dirname(file));
  await updateFile(file, (text = '') => {
    const others = text.split('\n').filter((line) => line !== '' && line.trim().split(/\s+/)[0] !== hostname);
    return [...others, `${hostname} ${address}`, ''].join('\n');
  });
}
