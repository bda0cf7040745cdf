import { systemCode } from '../../lib/errors.js';
import { dial } from '../../net/dial.js';
import type { Subject } from './report.js';

/**
 * Finds addresses of a relay that do not respond. An agent uses the first that does, so it does not notice the
 * others.
 */

/** Longer than an agent waits before it tries the next address. */
const RESPONSE_MS = 2_000;
const MAX_ADDRESSES = 16;
/** This machine has no network of the address's family. */
const NO_ROUTE = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

export async function checkAddresses(
  addresses: readonly string[],
  port: number,
  subject: Subject,
): Promise<void> {
  if (addresses.length < 2) return;
  const asked = addresses.slice(0, MAX_ADDRESSES).map(async (address) => {
    const failure = await failureAt(address, port);
    return { address, failure };
  });
  for (const { address, failure } of await Promise.all(asked)) {
    if (failure === undefined) subject.ok('relay.address', `${address} is reachable`);
    else if (NO_ROUTE.has(failure))
      subject.ok(
        'relay.address',
        `this machine has no route to ${address} (${failure}); agents use another address`,
      );
    else
      subject.warning(
        'relay.address',
        `${address} is unreachable on port ${port} (${failure})`,
        'Ask the operator of the relay to remove the DNS record, or to listen on the address (--listen).',
      );
  }
}

async function failureAt(host: string, port: number): Promise<string | undefined> {
  try {
    (await dial({ host, port, ms: RESPONSE_MS })).destroy();
    return undefined;
  } catch (error) {
    return systemCode(error) ?? `no response within ${RESPONSE_MS / 1_000} s`;
  }
}
