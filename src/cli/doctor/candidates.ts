import type { Desired } from '../../config/desired.js';
import { surveyWithoutAgent, type SurveyOptions } from '../../reconcile/candidates/survey.js';
import { silent } from '../../lib/logger.js';
import { Subject } from './report.js';

/** The relays that an agent can choose in addition to those that the file names. */
export async function checkCandidates(
  desired: Desired,
  options: SurveyOptions & { readonly registryDir: string },
): Promise<Subject> {
  const subject = new Subject('more relays');
  const { relays, registry } = await surveyWithoutAgent(desired, { ...options, log: silent });
  if (registry) {
    const { source, relays: count, error } = registry;
    const what = `${source}: ${count === 1 ? '1 relay' : `${count} relays`}`;
    if (!error) subject.ok('relays.registry', what);
    else if (count > 0)
      subject.warning(
        'relays.registry',
        `${error.message}; Portal uses the last valid copy, with ${count} relays`,
        error.hint,
      );
    else subject.problem('relays.registry', error.message, error.hint);
  }
  const candidates = relays.filter(({ source }) => source === 'registry' || source === 'discovered');
  const healthy = candidates.filter(({ health }) => health === 'healthy');
  for (const { url, error } of candidates)
    if (error) subject.warning('relays.candidate', `${url}: ${error.message}`, error.hint);
  const summary = `${healthy.length} of ${candidates.length} are healthy`;
  if (healthy.length > 0) subject.ok('relays.candidates', summary);
  else if (desired.relays.length > 0)
    subject.warning('relays.candidates', `${summary}; services use only the relays in \`urls\``);
  else
    subject.problem(
      'relays.candidates',
      `${summary}, so there is no relay to publish on`,
      'Check the registry, or add relays in `relays: { urls }`.',
    );
  return subject;
}
