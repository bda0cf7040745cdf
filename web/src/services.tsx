import type { LiveMessage } from '../../src/agent/inspect/wire.js';
import { servedState } from '../../src/agent/served-state.js';
import type { LeaseStatus } from '../../src/agent/status.js';
import { bytesText } from './format.js';

type State = Extract<LiveMessage, { type: 'state' }>;

const heldOf = ({ held = [] }: State, service: string) => held.filter((each) => each.service === service);

const isDown = ({ phase, targetError, starting }: LeaseStatus): boolean =>
  phase === 'ready' && targetError !== undefined && starting === undefined;

/** As in `portal status`. */
const stateOf = (lease: LeaseStatus): string => (lease.phase === 'ready' ? servedState(lease) : lease.phase);

/** All services and the state of their leases. */
export function Services({ state }: { state: State | undefined }) {
  if (!state) return null;
  return (
    <section class="services" aria-label="Services">
      <ul>
        {state.leases.map((lease) => (
          <li key={`${lease.service} ${lease.relay}`}>
            <span class="name">{lease.service}</span>
            <span class={`phase ${isDown(lease) ? 'down' : lease.phase}`}>{stateOf(lease)}</span>
            {lease.url ? (
              <a href={lease.url} target="_blank" rel="noreferrer noopener">
                {lease.url}
              </a>
            ) : (
              <span>{lease.tcpAddr ?? lease.udpAddr ?? lease.relay}</span>
            )}
            <span class="quiet">
              {lease.visitors} connected, {bytesText(lease.bytesIn)} in, {bytesText(lease.bytesOut)} out
              {!state.inspected.includes(lease.service) && ' · requests are not recorded'}
            </span>
            {heldOf(state, lease.service).map(({ route, waiting, error }) => (
              <span key={route} class="held">
                {waiting === 1 ? '1 request is held' : `${waiting} requests are held`}
                {route !== '/' && ` on ${route}`}
                {error !== undefined && `: ${error}`}
              </span>
            ))}
            {lease.error && <span class="error">{lease.error.message}</span>}
            {lease.healthError !== undefined && <span class="error">{lease.healthError}</span>}
            {lease.targetError !== undefined && <span class="error">{lease.targetError}</span>}
          </li>
        ))}
        {state.relays.map(({ relay, state: phase, rttMs, error }) => (
          <li key={`relay ${relay}`}>
            <span class="name">relay</span>
            <span class={`phase ${phase}`}>{phase}</span>
            <span>{relay}</span>
            {rttMs !== undefined && <span class="quiet">{Math.round(rttMs)} ms</span>}
            {error && <span class="error">{error.message}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
