import { pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** A portal.lock from an untrusted repository. */

const ADDRESS = `0x${'aB'.repeat(20)}`;
const GOOD = [
  '',
  '# nothing yet\n',
  `version: 1\nrelays:\n  https://a.example: "${ADDRESS}"\n  https://b.example:8443: "${ADDRESS}" # ours\n`,
  `# ours\nversion: "1"\nrelays: { "https://a.example": ${ADDRESS} }\n`,
  `version: 1\nrelays:\n  # the first\n  https://b.example: '${ADDRESS}'\n\n  https://c.example: "${ADDRESS}"\n`,
  'version: 1\nrelays:\n',
];
const PARTS = [
  '\n',
  '  ',
  ': ',
  '- ',
  '? ',
  '&a ',
  '*a',
  '<<: *a\n',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '|\n',
  '!!js ',
  '%YAML 1.2\n',
  '---\n',
  '...\n',
  '#',
  '<<<<<<< ours\n',
  'version: 2\n',
  'relays:\n',
  '  https://a.example: "0x"\n',
  `  https://z.example: "${ADDRESS}"\n`,
  `  http://a.example: "${ADDRESS}"\n`,
  `  https://user@a.example/x?y: "${ADDRESS}"\n`,
  '__proto__: 1\n',
  '\u0085',
  '\ufeff',
];
const ORIGIN = 'https://new.example';

function insertPart(random, input) {
  const at = Math.floor(random() * (input.length + 1));
  return Buffer.concat([input.subarray(0, at), Buffer.from(pick(random, PARTS)), input.subarray(at)]);
}

const known = (entries) => [...entries].map(([origin, { address }]) => `${origin} ${address}`).toSorted();

export async function load() {
  const { LockInvalid, readLock, withRelay } = await built('config/files/lock-file.js');
  Error.stackTraceLimit = 0;
  return {
    corpus: GOOD.map((text) => Buffer.from(text)),
    mutations: [insertPart],
    check(input) {
      const text = input.toString('utf8');
      let entries;
      try {
        entries = timed(() => readLock(text, 'portal.lock'));
      } catch (error) {
        assert(error instanceof LockInvalid, `threw ${error}`);
        assert(error.line >= 1 && error.line <= text.split('\n').length, `line ${error.line} does not exist`);
        return 'refused';
      }
      for (const [origin, { address, line }] of entries) {
        assert(new URL(origin).origin === origin && origin.startsWith('https://'), `${origin} is no origin`);
        assert(/^0x[0-9a-fA-F]{40}$/.test(address), `${address} is not an address`);
        assert(line >= 1 && line <= text.split('\n').length, `line ${line} does not exist`);
      }
      if (entries.has(ORIGIN)) return 'read';
      const longer = readLock(
        timed(() => withRelay(text, 'portal.lock', ORIGIN, ADDRESS)),
        'portal.lock',
      );
      assertSame(
        known(longer),
        known([...entries, [ORIGIN, { address: ADDRESS }]]),
        'adding an entry changed others',
      );
      return entries.size > 0 ? 'read and added to' : 'empty, and added to';
    },
  };
}
