import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { FAULTS } from './faults/all.mjs';

/** Command line options. */

const USAGE = `usage: npm run chaos -- [options]
  --seed N        the same seed makes the same schedule (default: a random one, which is printed first)
  --minutes N     no round begins after this (default 10)
  --faults N      number of faults (default: 21 a minute)
  --only KIND     one of ${FAULTS.map(({ kind }) => kind).join(', ')} (repeatable)
  --most-ms N     no fault takes longer than this
  --relays N      (default 3)
  --agents N      (default 3), each on two of the relays, and with a chain of them
  --pools N       (default 1) further agents, whose relays come from a list
  --warm-up N     seconds of visits before the first fault (default 20)
  --flow-idle N   seconds after which an idle flow of datagrams ends (default 60)
  --settle N      seconds to wait at the end until everything with a timeout has expired (default 150)
  --plan          print the schedule and exit
  --logs FOLDER   copy the logs of all processes there
  --json          one JSON document on standard output
`;

const text = (fallback) => ({ type: 'string', ...(fallback !== undefined && { default: fallback }) });
const flag = { type: 'boolean', default: false };

/** Prints the usage or an error, and exits, if the arguments require it. */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      seed: text(),
      minutes: text('10'),
      faults: text(),
      only: { type: 'string', multiple: true, default: [] },
      'most-ms': text('Infinity'),
      relays: text('3'),
      agents: text('3'),
      pools: text('1'),
      'warm-up': text('20'),
      'flow-idle': text('60'),
      settle: text('150'),
      plan: flag,
      logs: text(),
      json: flag,
      help: flag,
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const unknown = values.only.filter((kind) => !FAULTS.some((one) => one.kind === kind));
  if (unknown.length > 0) fail(`unknown fault: ${unknown.join(', ')}\n${USAGE}`);
  const number = (name, fallback) => numberOf(name, values[name] ?? fallback);
  const minutes = number('minutes');
  return {
    seed: number('seed', randomInt(2 ** 31)),
    minutes,
    count: number('faults', Math.ceil(21 * minutes)),
    isWanted: ({ kind }) => values.only.length === 0 || values.only.includes(kind),
    mostMs: values['most-ms'] === 'Infinity' ? Infinity : number('most-ms'),
    world: { relays: number('relays'), agents: number('agents'), pools: number('pools') },
    warmUpMs: number('warm-up') * 1_000,
    flowIdleMs: number('flow-idle') * 1_000,
    settleMs: number('settle') * 1_000,
    plan: values.plan,
    logs: values.logs,
    json: values.json,
  };
}

/** The command that repeats this run. */
export function commandOf(seed, args) {
  const isSeed = (index) => args[index] === '--seed' || args[index - 1] === '--seed';
  const given = args.filter((word, index) => !isSeed(index) && word !== '--json');
  return ['npm run chaos --', `--seed ${seed}`, ...given].join(' ');
}

export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

export function numberOf(name, value) {
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) fail(`--${name} ${value} is not a number`);
  return number;
}
