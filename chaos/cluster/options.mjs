import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fail, numberOf } from '../options.mjs';
import { CLUSTER_FAULTS } from './faults.mjs';

/** Command line options of `--cluster`. */

const USAGE = `usage: npm run chaos -- --cluster [options]
  --seed N        the same seed makes the same schedule (default: a random one, which is printed first)
  --minutes N     no round begins after this (default 10)
  --faults N      number of faults (default: 5 a minute)
  --only KIND     one of ${CLUSTER_FAULTS.map(({ kind }) => kind).join(', ')} (repeatable)
  --warm-up N     seconds of visits before the first fault (default 15)
  --plan          print the schedule and exit
  --logs FOLDER   copy the logs of all processes and the recorded history there
  --check FOLDER  check the history in such a folder again, and exit
  --json          one JSON document on standard output
`;

const FAULTS_A_MINUTE = 5;
const flag = { type: 'boolean', default: false };

/** Prints the usage or an error, and exits, if the arguments require it. */
export function readClusterOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      cluster: flag,
      seed: { type: 'string' },
      minutes: { type: 'string', default: '10' },
      faults: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      'warm-up': { type: 'string', default: '15' },
      plan: flag,
      logs: { type: 'string' },
      json: flag,
      check: { type: 'string' },
      help: flag,
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const unknown = values.only.filter((kind) => !CLUSTER_FAULTS.some((one) => one.kind === kind));
  if (unknown.length > 0) fail(`unknown fault: ${unknown.join(', ')}\n${USAGE}`);
  const number = (name, fallback) => numberOf(name, values[name] ?? fallback);
  const minutes = number('minutes');
  return {
    seed: number('seed', randomInt(2 ** 31)),
    minutes,
    count: number('faults', Math.ceil(FAULTS_A_MINUTE * minutes)),
    isWanted: ({ kind }) => values.only.length === 0 || values.only.includes(kind),
    warmUpMs: number('warm-up') * 1_000,
    plan: values.plan,
    logs: values.logs,
    json: values.json,
    check: values.check,
  };
}
