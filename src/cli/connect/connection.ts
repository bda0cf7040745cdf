import type { Identity } from '../../identity/identity.js';
import { asPortalError, PortalError, type ErrorCode } from '../../lib/errors.js';
import { openPrivate, type Opened, type OpenOptions } from './open.js';
import type { Place } from './places.js';

/** Nothing says which agent to expect, and this one has not the user's own identity. */
export class UnknownAgent extends PortalError {
  readonly agent: string;

  constructor(agent: string, message: string, hint: string) {
    super('agent_untrusted', message, { hint });
    this.agent = agent;
  }
}

/** Who must be at the other end. */
export interface Expected {
  /** Undefined: only an agent of the visitor's own identity is trusted. */
  readonly address: string | undefined;
  /** How the user said so, for the error. */
  readonly by?: string;
}

/** Another relay may still publish the service. */
const TRY_NEXT: ReadonlySet<ErrorCode> = new Set([
  'relay_unreachable',
  'proxy_refused',
  'service_offline',
  'connect_unsupported',
  'timeout',
]);

/** Opens connections to one service: at the relay that worked last, else at the others in turn. */
export class PlaceConnector {
  readonly place: Place;
  readonly #identity: Identity;
  /** The relay to try first. */
  #first = 0;
  expected: Expected;

  constructor(place: Place, identity: Identity, expected: Expected) {
    this.place = place;
    this.#identity = identity;
    this.expected = expected;
  }

  /** Throws like `openPrivate`, with the error of the first relay that it tried. */
  async open(purpose: OpenOptions['purpose'], signal: AbortSignal): Promise<Opened> {
    const { doors } = this.place;
    let failure: PortalError | undefined;
    for (let i = 0; i < doors.length; i++) {
      const at = (this.#first + i) % doors.length;
      try {
        const trust = (agent: string): void => this.#trust(agent);
        const opened = await openPrivate(doors[at]!, { identity: this.#identity, trust, purpose, signal });
        this.#first = at;
        return opened;
      } catch (error) {
        const problem = asPortalError(error);
        if (signal.aborted || !TRY_NEXT.has(problem.code)) throw problem;
        failure ??= problem;
      }
    }
    throw failure!;
  }

  #trust(agent: string): void {
    const { address, by } = this.expected;
    const { hostname, service } = this.place;
    if (agent === (address ?? this.#identity.address)) return;
    if (address === undefined)
      throw new UnknownAgent(
        agent,
        `${hostname} belongs to the identity ${agent}, which this machine does not know`,
        `Ask the owner whether this is their address, by phone or e-mail. If it is: portal connect ${service} --identity ${agent}`,
      );
    throw new PortalError(
      'agent_untrusted',
      `${hostname} belongs to the identity ${agent}, not to ${address}${by === undefined ? '' : ` (${by})`}`,
      {
        hint: `The owner may have a new identity, or the relay has given the name to someone else. Ask the owner, then pass their address: --identity 0x…`,
      },
    );
  }
}
