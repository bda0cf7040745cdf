/**
 * The gate's closing line, of vitest's JSON reports: `node .ci/summary.mjs REPORT…`. A test that ran twice counts once, as what went
 * worse. Exits with 1 where a report is missing: that run did not get to its end.
 */
import { existsSync, readFileSync } from 'node:fs';

const WORST_FIRST = ['failed', 'passed'];
const outcomes = new Map();

for (const report of process.argv.slice(2)) {
  if (!existsSync(report)) {
    process.stderr.write(`${report} is missing: that run did not get to its end\n`);
    process.exitCode = 1;
    continue;
  }
  for (const { name, status, assertionResults } of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    const file = withinCheckout(name);
    // A file that could not be loaded has no tests, and failed all the same.
    if (status === 'failed' && assertionResults.length === 0) note(file, 'failed');
    for (const test of assertionResults) note(`${file} ${test.fullName}`, test.status);
  }
}

const count = (...statuses) => [...outcomes.values()].filter((status) => statuses.includes(status)).length;
const [passed, failed] = [count('passed'), count('failed')];
const skipped = outcomes.size - passed - failed;
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
if (failed > 0) process.exitCode = 1;

function note(test, status) {
  const before = outcomes.get(test);
  outcomes.set(test, WORST_FIRST.find((each) => each === before || each === status) ?? status);
}

/** Reports have absolute paths, and one of the runs has this checkout elsewhere. */
function withinCheckout(path) {
  const parts = path.split('/').slice(1);
  while (parts.length > 1 && !existsSync(parts.join('/'))) parts.shift();
  return parts.join('/');
}
