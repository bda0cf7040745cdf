import { expect, it } from 'vitest';
import type { Problem } from '../../config/text/problem.js';
import { namingFile } from './naming-file.js';
import type { Reporter, TimedEvent } from './reporter.js';

it('names the file in the hints of events and problems, and changes nothing else', () => {
  const reported: unknown[] = [];
  const inner = {
    event: (event: TimedEvent) => reported.push(event),
    problems: (problems: readonly Problem[]) => reported.push(...problems),
  } as unknown as Reporter;
  const reporter = namingFile(inner, (hint) => `${hint} -f app.yaml`);
  const error = { code: 'all_failed', message: 'no', hint: 'portal list' };
  const lease = { event: 'lease', service: 'web', error } as unknown as TimedEvent;
  const rejected = { event: 'rejected', errors: [error, { code: 'x' }] } as unknown as TimedEvent;
  const down = { event: 'target', error: 'refused' } as unknown as TimedEvent;
  for (const event of [lease, rejected, down]) reporter.event(event);
  reporter.problems([error as unknown as Problem]);
  const named = { ...error, hint: 'portal list -f app.yaml' };
  expect(reported).toEqual([
    { event: 'lease', service: 'web', error: named },
    { event: 'rejected', errors: [named, { code: 'x' }] },
    down,
    named,
  ]);
});
