import { nearest } from '../config/words/suggest.js';
import { PortalError } from '../lib/errors.js';
import { isPath } from './path-word.js';

/** Throws if one of `names` is not a known service. */
export function checkServices(names: readonly string[], known: readonly string[], owner: string): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const meant = nearest(unknown, known);
  const others = meant === undefined ? `Services: ${known.join(', ')}.` : `Did you mean \`${meant}\`?`;
  throw new PortalError('usage', `${owner} has no service ${JSON.stringify(unknown)}`, {
    hint: isPath(unknown) ? `To name a file, use \`-f ${unknown}\`.` : others,
  });
}
