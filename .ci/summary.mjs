/**
 * The gate's closing lines, of vitest's JSON reports: `node .ci/summary.mjs REPORT…`. Lists the tests that failed and
 * those that passed only at their second attempt, and counts all. Exits with 1 where a test failed, or where a report is
 * missing: that run did not get to its end.
 */
import { existsSync, readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** Characters of an error. */
const MAX_REASON = 2_000;
const counts = { passed: 0, failed: 0, skipped: 0 };

for (const report of process.argv.slice(2)) {
  if (!existsSync(report)) {
    process.stderr.write(`${report} is missing: that run did not get to its end\n`);
    process.exitCode = 1;
    continue;
  }
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  for (const { name, status, message, assertionResults } of testResults) {
    // A file that could not be loaded has no tests, and failed all the same.
    if (status === 'failed' && assertionResults.length === 0) {
      counts.failed++;
      tell('failed', name, [], message);
    }
    for (const test of assertionResults) {
      counts[test.status === 'passed' || test.status === 'failed' ? test.status : 'skipped']++;
      // A passed test has the errors of the attempt before.
      const { ancestorTitles, title, failureMessages } = test;
      if (failureMessages.length === 0) continue;
      const how = test.status === 'passed' ? 'flaky' : 'failed';
      tell(how, name, [...ancestorTitles, title], failureMessages[0]);
    }
  }
}

const { passed, failed, skipped } = counts;
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
if (failed > 0) process.exitCode = 1;

/** Prints a line about a test: `how` it went, its file, its titles, and the first line of its error. */
function tell(how, path, titles, error) {
  // The run elsewhere has another path to this checkout.
  const file = path.replace(/^.*\/(?=(src|test)\/)/, '');
  const [why] = stripVTControlCharacters(error).split('\n');
  process.stdout.write(`${how}: ${[file, ...titles].join(' > ')}: ${why.slice(0, MAX_REASON)}\n`);
}
