import type { Desired } from '../../config/desired.js';
import { surveyAlone, type SurveyOptions } from '../../reconcile/candidates/survey.js';
import { silent } from '../../lib/logger.js';
import { Subject } from './report.js';

/** The relays that are there to choose from, besides those that the file names. */
export async function checkCandidates(
  desired: Desired,
  options: SurveyOptions & { readonly registryDir: string },
): Promise<Subject> {
  const subject = new Subject('further relays');
  const { relays, registry } = await surveyAlone(desired, { ...options, log: silent });
  if (registry) {
    const { source, relays: count, error } = registry;
    const what = `${source}: ${count === 1 ? '1 relay' : `${count} relays`}`;
    if (!error) subject.ok('relays.registry', what);
    else if (count > 0)
      subject.warning(
        'relays.registry',
        `${error.message}; its last good copy counts: ${count} relays`,
        error.hint,
      );
    else subject.problem('relays.registry', error.message, error.hint);
  }
  const candidates = relays.filter(({ source }) => source === 'registry' || source === 'discovered');
  const healthy = candidates.filter(({ health }) => health === 'healthy');
  for (const { url, error } of candidates)
    if (error) subject.warning('relays.candidate', `${url}: ${error.message}`, error.hint);
  const answer = `${healthy.length} of ${candidates.length} answer`;
  if (healthy.length > 0) subject.ok('relays.candidates', answer);
  else if (desired.relays.length > 0)
    subject.warning('relays.candidates', `${answer}; services run on \`urls\` alone`);
  else
    subject.problem(
      'relays.candidates',
      `${answer}, so that there is no relay to publish on`,
      'Check the registry, or name relays in `relays: { urls }`.',
    );
  return subject;
}
