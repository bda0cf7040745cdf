import type { HopStatus, RelayStatus } from '../../agent/status.js';
import { errorLines, nextTry, relayName } from '../reporters/describe.js';
import { fitColumns } from '../text/columns.js';
import type { Style } from '../text/style.js';

const relayRow = (name: string, { state, error, rttMs }: HopStatus): string[] => [
  name,
  // The agent does not retry.
  error?.code === 'disconnected' ? 'disconnected' : state,
  rttMs === undefined ? '' : `${Math.round(rttMs)} ms`,
];

const LEAVING = 'no longer in the configuration: it goes when its services are ready on other relays';

/** The table of relays: state, round trip, and below each what is wrong. The hops of a chain have rows of their own. */
export function describeRelays(relays: readonly RelayStatus[], style: Style, width: number): string[] {
  if (relays.length === 0) return [];
  // The hops of a chain, starting with the one that the agent is connected to.
  const rows = relays.flatMap((relay) => [
    { name: relayName(relay.relay), status: relay },
    ...(relay.hops ?? []).toReversed().map((hop) => ({
      name: `  through ${relayName(hop.relay)}`,
      status: { ...hop, nextInMs: undefined, leaving: undefined },
    })),
  ]);
  const [header, ...lines] = fitColumns(
    [['RELAY', 'STATE', 'ROUND TRIP'], ...rows.map(({ name, status }) => relayRow(name, status))],
    { optional: ['ROUND TRIP', 'STATE'], width },
  );
  const isStateBelow = !header!.includes('STATE');
  return [
    style.dim(header!),
    ...(isStateBelow ? [style.dim('  STATE')] : []),
    ...lines.flatMap((line, index) => {
      const { name, status } = rows[index]!;
      const { error, state, nextInMs, leaving } = status;
      const [, ...stateCells] = relayRow(name, status);
      const next = nextInMs === undefined || state === 'connected' ? [] : [nextTry(nextInMs)];
      const below = [
        ...(isStateBelow ? [stateCells.join('  ').trimEnd()] : []),
        ...(leaving ? [LEAVING] : []),
        ...(error ? errorLines(error) : []),
        ...next,
      ];
      return [line, ...below.map((text) => `  ${text}`)];
    }),
  ];
}
