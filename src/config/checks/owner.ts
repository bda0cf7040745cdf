import { PortalError } from '../../lib/errors.js';
import type { Desired } from '../desired.js';
import { finding, type Finding } from '../text/finding.js';
import { sameAddress } from '../files/lock-file.js';
import type { Tree } from '../text/tree.js';

/** The identity that runs a configuration. */
export interface Owner {
  /** Address of the identity in `file` (undefined: the user's own). Undefined before the identity exists. */
  readonly addressIn: (file: string | undefined) => Promise<string | undefined>;
  /** Whether this service will run. */
  readonly runs: (service: string) => boolean;
}

/** Reports services whose `identity` differs from the one that would run them. */
export async function checkOwner(desired: Desired, root: Tree, owner: Owner): Promise<Finding[]> {
  const services = desired.services.filter(
    ({ service, identity }) => identity !== undefined && owner.runs(service),
  );
  if (services.length === 0) return [];
  let address: string | undefined;
  try {
    address = await owner.addressIn(desired.identityFile);
  } catch (error) {
    // The agent that runs with this identity file reports its errors.
    if (error instanceof PortalError) return [];
    throw error;
  }
  return services
    .filter(({ identity }) => address === undefined || !sameAddress(identity!, address))
    .map(({ service, identity }) =>
      finding(root, ['services', service, 'identity'], {
        code: 'identity_mismatch',
        message: `service "${service}" belongs to ${identity}, but ${address === undefined ? 'this machine has no identity yet' : `this machine has ${address}`}`,
        hint: `Get the identity file of ${identity} and name it with \`identity: FILE\`, or remove this line and give the service another \`name\`.`,
      }),
    );
}
