/**
 * The gate's closing lines, of vitest's JSON reports: `node .ci/summary.mjs REPORT…`. Lists the tests that passed only at
 * their second attempt, and counts all. Exits with 1 where a test failed, or where a report is missing: that run did not
 * get to its end.
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
  for (const { name, status, assertionResults } of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    // A file that could not be loaded has no tests, and failed all the same.
    if (status === 'failed' && assertionResults.length === 0) counts.failed++;
    for (const test of assertionResults) {
      counts[test.status === 'passed' || test.status === 'failed' ? test.status : 'skipped']++;
      if (test.status === 'passed' && test.failureMessages.length > 0) reportFlaky(name, test);
    }
  }
}

const { passed, failed, skipped } = counts;
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
if (failed > 0) process.exitCode = 1;

/** A passed test has the errors of the attempt before. */
function reportFlaky(path, { ancestorTitles, title, failureMessages: [error] }) {
  // The run elsewhere has another path to this checkout.
  const file = path.replace(/^.*\/(?=(src|test)\/)/, '');
  const [why] = stripVTControlCharacters(error).split('\n');
  process.stdout.write(
    `flaky: ${file} > ${[...ancestorTitles, title].join(' > ')}: ${why.slice(0, MAX_REASON)}\n`,
  );
}
