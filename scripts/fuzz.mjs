/**
 * Fuzzes the code that parses untrusted input: `npm run fuzz -- [--target NAME] [--runs N] [--seed N]`, with the built
 * dist/modules/. The same seed makes the same inputs. On a failure it prints the seed, keeps the input as hex, and
 * exits with 1; `--replay FILE` runs that input again. To fuzz another parser, add a file to scripts/fuzz/targets/.
 */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { below, randomFrom } from './fuzz/chance.mjs';
import { makeInput } from './fuzz/inputs.mjs';

/**
 * The function `load` that each file in targets/ exports.
 *
 * @typedef {import('./fuzz/chance.mjs').Random} Random
 *
 * @typedef {object} Loaded
 * @property {Buffer[]} corpus good inputs, which mutations start from
 * @property {((random: Random, input: Buffer) => Buffer)[]} mutations that know the format; general ones are added automatically
 * @property {(input: Buffer, random: Random) => string | Promise<string>} check the name of the verdict, for the
 *   histogram; throws when an invariant is violated
 */

const FOLDER = new URL('fuzz/targets/', import.meta.url);
const TARGETS = readdirSync(FOLDER)
  .map((file) => basename(file, '.mjs'))
  .toSorted();

const HELP = `usage: npm run fuzz -- [options]
  --target NAME  one of ${TARGETS.join(', ')} (repeatable; default: all)
  --runs N       inputs for each target (default: 1000000)
  --seed N       the same seed makes the same inputs (default: the time)
  --replay FILE  run the one input that a failure kept, with the --seed that it printed
`;

async function fuzz(name, { runs, seed }) {
  const target = await load(name);
  const random = randomFrom(seed);
  const verdicts = new Map();
  const start = performance.now();
  for (let run = 1; run <= runs; run++) {
    const input = makeInput(random, target);
    const checkSeed = below(random, 2 ** 32);
    try {
      const verdict = await target.check(input, randomFrom(checkSeed));
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    } catch (error) {
      const file = join(mkdtempSync(join(tmpdir(), 'portal-fuzz-')), `${name}.hex`);
      writeFileSync(file, `${input.toString('hex')}\n`);
      print(`${name}: FAILED at run ${run}, seed ${seed}: ${error.message}`);
      print(`  again: node scripts/fuzz.mjs --target ${name} --seed ${checkSeed} --replay ${file}`);
      return false;
    }
  }
  print(
    `${name}: ${runs} inputs, seed ${seed}, ${((performance.now() - start) / 1000).toFixed(1)} s, no failure`,
  );
  for (const [verdict, count] of [...verdicts].toSorted((a, b) => b[1] - a[1])) {
    print(`  ${String(count).padStart(9)}  ${verdict}`);
  }
  return true;
}

/** @returns {Promise<Loaded>} */
async function load(name) {
  const { load: loadTarget } = await import(new URL(`${name}.mjs`, FOLDER).href);
  return loadTarget();
}

async function replay(name, file, seed) {
  const target = await load(name);
  const input = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex');
  print(`${name}: ${await target.check(input, randomFrom(seed))}`);
}

const print = (line) => process.stdout.write(`${line}\n`);

function readOptions() {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      runs: { type: 'string', default: '1000000' },
      seed: { type: 'string' },
      replay: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const names = values.target ?? TARGETS;
  const unknown = names.find((name) => !TARGETS.includes(name));
  if (unknown !== undefined) throw new Error(`unknown target ${unknown}. Targets: ${TARGETS.join(', ')}`);
  const [runs, seed] = [Number(values.runs), Number(values.seed ?? Date.now() % 2 ** 32)];
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new Error(`--runs ${values.runs} is not a positive integer`);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`--seed ${values.seed} is not a number from 0 up`);
  return { names, runs, seed, file: values.replay };
}

const { names, runs, seed, file } = readOptions();
for (const name of names) {
  if (file !== undefined) await replay(name, file, seed);
  else if (!(await fuzz(name, { runs, seed }))) process.exitCode = 1;
}
