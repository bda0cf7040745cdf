import { systemCode } from '../../lib/errors.js';
import { dial } from '../../net/dial.js';
import type { Subject } from './report.js';

/** Which of a relay's addresses answer: an agent takes the first that does, so one that does not goes unnoticed. */

/** No agent waits this long for one address before it tries the next. */
const ANSWER_MS = 2_000;
const MAX_ADDRESSES = 16;
/** Of a family that this machine does not have, or has no way out with. */
const NO_WAY_THERE = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

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
    if (failure === undefined) subject.ok('relay.address', `${address} answers`);
    else if (NO_WAY_THERE.has(failure))
      subject.ok('relay.address', `${address} is out of reach of this machine (${failure}); others are used`);
    else
      subject.warning(
        'relay.address',
        `${address} does not answer at port ${port} (${failure})`,
        'The operator of the relay removes the record from DNS, or has the relay listen there (--listen).',
      );
  }
}

async function failureAt(host: string, port: number): Promise<string | undefined> {
  try {
    (await dial({ host, port, ms: ANSWER_MS })).destroy();
    return undefined;
  } catch (error) {
    return systemCode(error) ?? `no answer within ${ANSWER_MS / 1_000} s`;
  }
}
