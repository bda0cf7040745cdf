import { below, pick } from '../chance.mjs';
import { assert, built, timed } from '../check.mjs';

/** A `.env` from an untrusted repository. */

const GOOD = [
  'PIN=7752#harbour\nexport NAME="a b"\n# a comment\nEMPTY=\n',
  "SINGLE='it\\'s $HOME'\nDOUBLE=\"line\\nnext ${NAME:-none}\"\n",
  'A=${B}\nB=${A}\nC=${D:?must be set}\nINHERITED\n',
  'MANY="first\nsecond\nthird" # and a comment\nYAML: value\n',
  '\ufeffBOM=1\r\nCRLF=2\r\n',
];
const PARTS = [
  '\n',
  '\r',
  '=',
  ':',
  '"',
  "'",
  '\\',
  '$',
  '${',
  '}',
  '${A:-${B}}',
  '${A-',
  '$$',
  '#',
  ' #',
  'export ',
  'A=1\n',
  'A=$A\n',
  '\u00a0',
  '\u0085',
  '\0',
  '[0]',
  '__proto__=1\n',
  'constructor=${__proto__}\n',
];

function insertPart(random, input) {
  const at = below(random, input.length + 1);
  return Buffer.concat([input.subarray(0, at), Buffer.from(pick(random, PARTS)), input.subarray(at)]);
}

function nestVariables(random, input) {
  const depth = below(random, pick(random, [4, 50, 2_000]));
  const part = Buffer.from(`N=${'${A:-'.repeat(depth)}x${'}'.repeat(depth)}\n`);
  return random() < 0.5 ? Buffer.concat([part, input]) : Buffer.concat([input, part]);
}

export async function load() {
  const { parseDotenv } = await built('config/variables/dotenv.js');
  const { Source } = await built('config/text/source.js');
  const environment = new Map([
    ['HOME', '/home/me'],
    ['SECRET', 'from the environment'],
  ]);
  return {
    corpus: GOOD.map((text) => Buffer.from(text)),
    mutations: [insertPart, insertPart, nestVariables],
    check(input) {
      const source = new Source('.env', input.toString('utf8'));
      const { values, findings, warnings, secrets } = timed(() =>
        parseDotenv(source, (name) => environment.get(name)),
      );
      assert(findings.length <= 21 && warnings.length <= 21, 'too many mistakes are reported');
      for (const { start, end } of [...findings.map(({ place }) => place), ...secrets])
        assert(
          start >= 0 && start <= end && end <= source.text.length,
          `${start} to ${end} is outside the text`,
        );
      for (const [name, value] of values) {
        assert(/^[\p{L}\p{N}_.\-[\]]+$/u.test(name), `${name} is not a name`);
        assert(typeof value === 'string' || typeof value === 'object', 'a value is not a string');
        // A name alone on a line gets its value from the environment.
        if (typeof value !== 'string' || value === '' || environment.get(name) === value) continue;
        const isHidden = secrets.length > 0;
        assert(isHidden, `the value of ${name} would be shown`);
      }
      assert({}.polluted === undefined, 'the prototype of all objects was changed');
      return findings.length > 0
        ? 'malformed'
        : warnings.length > 0
          ? 'with warnings'
          : `${Math.min(values.size, 4)} values`;
    },
  };
}
