import { KINDS, variant } from '../lib/contenders.mjs';
import { pickResult } from '../lib/load.mjs';
import { newVisitors, visitorFigures, visitorRuns } from './connections.mjs';
import { atFullSpeed, requestFigures, requestRuns } from './requests.mjs';
import { transferFigures, transferRuns } from './transfer.mjs';

/**
 * A relay with two workers beside a relay of one process, and an nginx with as many workers in the place of the relay. CPU
 * figures of the relay are sums over its processes.
 */
export const workers = async (world) => {
  const names = ['nginx', 'against', 'portal'];
  const ours = { ...world, contenders: world.contenders.filter((name) => names.includes(name)) };
  const [visit, client] = [newVisitors(ours), atFullSpeed(ours)];
  const measured = [
    {
      name: 'connections',
      all: await visitorRuns(ours, visit, KINDS.workers),
      figures: (name, runs) => visitorFigures(name, runs, visit),
    },
    {
      name: 'requests',
      all: await requestRuns(ours, KINDS.workers, client),
      figures: (name, runs) => requestFigures(name, runs, client),
    },
    {
      name: 'download',
      all: await transferRuns(ours, 'down', KINDS.workers),
      figures: transferFigures,
    },
  ];
  return measured.flatMap(({ name, all, figures }) =>
    Object.keys(KINDS.workers.variants).flatMap((suffix) => {
      const full = `workers.${name}${suffix.replace(' ', '.')}`;
      const runs = variant(all, suffix);
      return [...figures(full, runs), ...spread(full, runs)];
    }),
  );
};

/** How evenly the workers share the load, and how many visitors pass through two of them. */
const spread = (name, runs) => [
  pickResult(`${name}.busiest`, "% of the workers' CPU", runs, (run) => {
    const { busiest, relay } = run.cpu;
    return relay > 0 ? (busiest / relay) * 100 : undefined;
  }),
  pickResult(`${name}.forwarded`, 'visitors', runs, (run) => run.forwarded),
];
