import { KINDS, variant } from '../lib/contenders.mjs';
import { newVisitors, visitorFigures, visitorRuns } from './connections.mjs';
import { transferFigures, transferRuns } from './transfer.mjs';

/** New visitors and transfers over the encrypted carriers. */
export const carriers = async (world) => {
  const alone = { ...world, contenders: world.contenders.filter((name) => /^(portal|against)$/.test(name)) };
  const visit = newVisitors(world);
  const visits = await visitorRuns(alone, visit, KINDS.carriers);
  const downloads = await transferRuns(alone, 'down', KINDS.carriers);
  const uploads = await transferRuns(alone, 'up', KINDS.carriers);
  return Object.keys(KINDS.carriers.variants).flatMap((suffix) => {
    const name = `carriers.${suffix.trim()}`;
    return [
      ...visitorFigures(name, variant(visits, suffix), visit),
      ...transferFigures(`${name}.download`, variant(downloads, suffix)),
      ...transferFigures(`${name}.upload`, variant(uploads, suffix)),
    ];
  });
};
