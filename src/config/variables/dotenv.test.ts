import { describe, expect, it } from 'vitest';
import { parseDotenv } from './dotenv.js';
import { formatProblem } from '../text/frame.js';
import { toProblems } from '../text/finding.js';
import { Source } from '../text/source.js';

const ENVIRONMENT: Readonly<Record<string, string>> = { SHELL_VAR: 'from the shell', BLANK: '' };

function parsed(text: string) {
  const dotenv = parseDotenv(new Source('.env', text), (name) => ENVIRONMENT[name]);
  return { ...dotenv, values: Object.fromEntries(dotenv.values) };
}

/** Every row was compared with compose-go v2.16.2, except the differences listed below. */
describe('.env files are read as docker compose reads them', () => {
  it.each<[string, Record<string, string>]>([
    // comments
    ['PIN=7752#harbour', { PIN: '7752#harbour' }],
    ['PIN=7752 #harbour', { PIN: '7752' }],
    ['PIN=7752 # harbour', { PIN: '7752' }],
    ['PIN=#7752', { PIN: '#7752' }],
    ['PIN=a#b #c #d', { PIN: 'a#b' }],
    ['# PIN=1\n  # PIN=2\n#', {}],
    ['URL=https://example.com/#top', { URL: 'https://example.com/#top' }],
    ['A="x#y" # note\nB=\'x #y\'# note', { A: 'x#y', B: 'x #y' }],
    // white space
    [' A = two words \n\tB\t=\tx\t', { A: 'two words', B: 'x' }],
    ['A=\nB=  \nC=""\nD=\'\'', { A: '', B: '', C: '', D: '' }],
    ['A=1\r\nB="2"\r\nC=3 # x\r\n\r\n', { A: '1', B: '2', C: '3' }],
    ['A=1\n\n\nB=2', { A: '1', B: '2' }],
    // names
    ['export A=1\nexport\tB=2\n  export C = 3', { A: '1', B: '2', C: '3' }],
    ['exported=1\nexport_A=2\nexport.A=3', { exported: '1', export_A: '2', 'export.A': '3' }],
    ['a.b-c[0]=1\nÜber=2', { 'a.b-c[0]': '1', Über: '2' }],
    ['A: 1\nB:x=y', { A: '1', B: 'x=y' }],
    ['A=x=y:z=', { A: 'x=y:z=' }],
    ['A=1\nA=2', { A: '2' }],
    ['SHELL_VAR\nA=1', { A: '1', SHELL_VAR: 'from the shell' }],
    // quotes
    ['A="it\'s"\nB=\'say "x"\'', { A: "it's", B: 'say "x"' }],
    ['A="say \\"x\\""\nB=\'it\\\'s\'', { A: 'say "x"', B: "it's" }],
    ['A=say "x"\nB=`x y`', { A: 'say "x"', B: '`x y`' }],
    ['A="one\n two # x\n\nthree"\nB=1', { A: 'one\n two # x\n\nthree', B: '1' }],
    ["A='one\ntwo'\nB=1", { A: 'one\ntwo', B: '1' }],
    ['A="one\r\ntwo"', { A: 'one\r\ntwo' }],
    // escapes, in double quotes only
    ['A="a\\tb\\nc"\nB=\'a\\tb\'\nC=a\\tb', { A: 'a\tb\nc', B: 'a\\tb', C: 'a\\tb' }],
    ['A="\\a\\b\\f\\r\\v\\\\"', { A: '\u0007\b\f\r\v\\' }],
    ['A="\\0101\\x41\\u0041\\c"', { A: 'A\\x41\\u0041\\c' }],
    ['A="C:\\\\new"\nB="x\\\\"', { A: 'C:\\new', B: 'x\\' }],
    // variables
    ['A=1\nB=$A\nC=${A}0\nD="<$A>"\nE=\'$A\'', { A: '1', B: '1', C: '10', D: '<1>', E: '$A' }],
    ['A=$SHELL_VAR\nSHELL_VAR=x\nB=$SHELL_VAR', { A: 'from the shell', SHELL_VAR: 'x', B: 'from the shell' }],
    ['A=${X:-x}\nB=${X-x}\nC=${BLANK:-x}\nD=${BLANK-x}', { A: 'x', B: 'x', C: 'x', D: '' }],
    [
      'A=${X:+x}\nB=${X+x}\nC=${BLANK:+x}\nD=${BLANK+x}\nE=${SHELL_VAR:+x}',
      { A: '', B: '', C: '', D: 'x', E: 'x' },
    ],
    ['A=${X:-${BLANK:-<$SHELL_VAR>}}', { A: '<from the shell>' }],
    ['A=${SHELL_VAR:?no}\nB=${BLANK?no}', { A: 'from the shell', B: '' }],
    ['A=$$X\nB="\\$X"\nC="$$X"', { A: '$X', B: '$X', C: '$X' }],
    ['A=a$1\nB=a$\nC=$ x', { A: 'a$1', B: 'a$', C: '$ x' }],
    ["A='$$'\nB=$A", { A: '$$', B: '$$' }],
  ])('%j', (text, values) => {
    expect(parsed(text)).toMatchObject({ values, findings: [], warnings: [] });
    expect(Object.keys(parsed(text).values).toSorted()).toEqual(Object.keys(values).toSorted());
  });
});

describe('differences from compose', () => {
  it('white space of any kind begins a comment, also right after `=`', () => {
    expect(parsed('A=x\t# note\nB= # note').values).toEqual({ A: 'x', B: '' });
  });

  it('a variable that is not set makes a value unusable rather than shorter', () => {
    const { values, findings } = parsed('A=pa$word\nB=<$A>\nC=${NONE:?set NONE}\nD=${A:-x}');
    expect(findings).toEqual([]);
    expect(values).toMatchObject({
      A: { problem: '.env:1: the variable word is not set' },
      B: { problem: '.env:1: the variable word is not set' },
      C: { problem: '.env:3: set NONE' },
      D: { problem: '.env:1: the variable word is not set' },
    });
  });

  it('a malformed expression makes only its own value unusable', () => {
    expect(parsed('A=${\nB=${x y}\nC="${A"\nD=1').values).toMatchObject({
      A: { problem: '.env:1: a variable name must follow `${`' },
      B: { problem: expect.stringContaining('.env:2: after `${NAME`') as string },
      C: { problem: '.env:3: `${` is not closed' },
      D: '1',
    });
  });

  it('a name without a value is a warning if the environment does not set it either', () => {
    const { values, warnings } = parsed('A=1\nNOBODY\nB=2');
    expect(values).toEqual({ A: '1', B: '2' });
    expect(warnings).toMatchObject([
      { message: 'this name has no value here, and the environment does not set it' },
    ]);
  });
});

describe('a malformed line', () => {
  it.each([
    ['A B=1', '.env:1:2', 'a name cannot contain a space'],
    ['A=1\nINVALID LINE\nB=2', '.env:2:8', 'a name cannot contain a space'],
    ['lol$wut', '.env:1:4', 'a name has letters, digits, `_`, `.`, `-`, `[` and `]` only'],
    ['a/b=1', '.env:1:2', 'a name has letters, digits, `_`, `.`, `-`, `[` and `]` only'],
    ['  =1', '.env:1:3', 'the name before `=` is missing'],
    ['A=1\nB="open\nC=2', '.env:2:3', 'the quote is not closed'],
    ["B='open", '.env:1:3', 'the quote is not closed'],
    ['B="open\\"', '.env:1:3', 'the quote is not closed'],
    ['A="x"y', '.env:1:6', 'text follows the closing quote'],
    ['A="x" y # z', '.env:1:7', 'text follows the closing quote'],
    ['A="x" B=2', '.env:1:7', 'text follows the closing quote'],
  ])('%j is an error at %s: %s', (text, place, message) => {
    const { findings, secrets } = parsed(text);
    const [problem, ...more] = toProblems(findings, secrets);
    expect(more).toEqual([]);
    expect(`${problem!.file}:${problem!.line}:${problem!.column}`).toBe(place);
    expect(problem).toMatchObject({ message, code: 'config_invalid' });
  });

  it('does not hide other malformed lines', () => {
    expect(parsed('A B=1\nC=3\n=4\nD=5')).toMatchObject({
      values: { C: '3', D: '5' },
      findings: [{ message: 'a name cannot contain a space' }, { message: 'the name before `=` is missing' }],
    });
  });

  it('is reported without any value and without its text', () => {
    const text = '# old: hunter1\nA=hunter2\nhunter 3\nB="hunter4\nhunter5" # hunter6\nC=\'hunter7';
    const { findings, secrets } = parsed(text);
    const shown = toProblems(findings, secrets).map((problem) => formatProblem(problem, { color: false }));
    expect(shown.join('\n')).not.toMatch(/hunter/);
    expect(shown[0]).toContain(
      '.env:3:7: a name cannot contain a space\n    1 | #****\n    2 | A=****\n  > 3 | ****',
    );
    expect(shown[1]).toContain('.env:6:3: the quote is not closed');
  });
});

describe('a file that is not a .env', () => {
  const LINES = 50_000;

  it.each([
    [
      'of malformed lines',
      '=x\n'.repeat(LINES),
      'findings',
      /^49980 malformed lines follow, this is the first$/,
    ],
    ['of lone names', 'x\n'.repeat(LINES), 'warnings', /^49980 names without a value follow/],
  ] as const)('%s is recognised by its first lines', (_name, text, kind, last) => {
    const dotenv = parsed(text);
    expect(dotenv[kind]).toHaveLength(21);
    expect(dotenv[kind].at(-1)!.message).toMatch(last);
    const problems = toProblems(dotenv[kind], dotenv.secrets);
    expect(problems.at(-1)).toMatchObject({ line: 21, frame: expect.stringContaining('> 21 |') as string });
  });

  it('with values that grow without end fails at the first value that is too long', () => {
    const grows = Array.from({ length: 40 }, (_, i) => `A${i + 1}=$A${i}$A${i}$A${i}`);
    const { values, findings } = parsed(['A0=ha', ...grows].join('\n'));
    expect(findings).toEqual([]);
    const first = Object.entries(values).find(([, value]) => typeof value !== 'string');
    expect(first).toMatchObject([
      'A12',
      { problem: expect.stringMatching(/^\.env:13: the text is too long/) as string },
    ]);
    expect(values['A40']).toMatchObject({ problem: expect.stringMatching(/^\.env:13: /) as string });
  });
});

it('lists the variables that a value uses, directly or through others', () => {
  const { references } = parseDotenv(
    new Source('.env', 'A=$HOME\nB="${A:-$C}x"\nD=plain\nE=\'$HOME\'\n'),
    () => '',
  );
  expect(Object.fromEntries([...references].map(([name, names]) => [name, [...names]]))).toEqual({
    A: ['HOME'],
    B: ['A', 'HOME', 'C'],
  });
});

it('gives no value to a name at the end of a long chain of references', () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `V${index + 1}=$V${index}`);
  const { values } = parseDotenv(new Source('.env', `V0=x\n${lines.join('\n')}`), () => undefined);
  expect(values.get('V99')).toBe('x');
  expect(values.get('V20000')).toMatchObject({
    problem: expect.stringContaining('refers to more than 100 variables') as string,
  });
});
