import { execFileSync } from 'node:child_process';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { RequestDetails, RequestRow } from '../../src/agent/inspect/wire.js';
import { fieldDifferences, lineDifferences } from '../../web/src/compare.js';
import { asCurl, quote } from '../../src/agent/inspect/curl.js';
import { filtered, NO_FILTER } from '../../web/src/filter.js';
import { asFetch, asHttpie } from '../../src/agent/inspect/copies.js';
import { folded } from '../../web/src/fold.js';
import { bytesText, hexDump, kindOf, msText, prettyJson } from '../../web/src/format.js';
import { partsOf } from '../../web/src/multipart.js';

const row: RequestRow = {
  id: 1,
  service: 'app',
  startedAt: 0,
  method: 'GET',
  target: '/reports?year=2026',
  authority: 'app.localhost',
  remote: '203.0.113.7',
  outcome: 'done',
  status: 200,
  requestBytes: 0,
  responseBytes: 0,
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a shell makes of the command: the program's arguments, one after another, a character for each byte. */
const argumentsOf = (command: string, program = 'curl', encoding: 'utf8' | 'latin1' = 'utf8'): string[] =>
  execFileSync('sh', ['-c', `${program}() { printf '%s\\0' "$@"; }; ${command}`], { encoding })
    .split('\0')
    .slice(0, -1);

describe('the filter', () => {
  const rows: RequestRow[] = [
    row,
    { ...row, id: 2, method: 'POST', status: 503 },
    { ...row, id: 3, target: '/api/users', service: 'api', outcome: 'broken' },
    { ...row, id: 4, target: '/live', outcome: 'switched', status: 101 },
    {
      ...row,
      id: 5,
      service: 'gated',
      status: 401,
      portal: { code: 'pin_wrong', title: 'Wrong PIN.', gate: 'pin' },
    },
    { ...row, id: 6, service: 'gated', status: 403, portal: { code: 'ip_denied', title: 'No', gate: 'ip' } },
  ];
  it.each([
    [{}, [1, 2, 3, 4, 5, 6]],
    [{ text: 'REPORTS 203.0' }, [1, 2, 5, 6]],
    [{ text: 'reports users' }, []],
    [{ method: 'POST' }, [2]],
    [{ status: '5' }, [2]],
    [{ status: 'broken' }, [3]],
    [{ status: 'gate' }, [5, 6]],
    [{ status: 'gate:ip' }, [6]],
    [{ status: 'open' }, [4]],
    [{ service: 'api', text: '/api' }, [3]],
  ])('%j', (filter, ids) => {
    expect(filtered(rows, { ...NO_FILTER, ...filter }).map(({ id }) => id)).toEqual(ids);
  });
});

const down = { status: 503, portal: { code: 'target_down', title: 'app is not running' } } as const;
const reload = { ...down, reload: true } as const;
const listed = (...rows: Partial<RequestRow>[]): string[] =>
  folded(rows.map((over, i) => ({ ...row, id: rows.length - i, startedAt: rows.length - i, ...over }))).map(
    ({ id, reloads = 0 }) => `${id}+${reloads}`,
  );

describe('the list', () => {
  it('groups a visit and the reloads of its page in one row at the visit', () => {
    expect(listed({ target: '/b' }, reload, { target: '/a' }, reload, down)).toEqual(['5+0', '3+0', '1+2']);
  });

  it('does not group different pages or visitors, or visits around a response of the service', () => {
    expect(listed(reload, { ...reload, target: '/b' }, { ...down, target: '/b' }, down)).toEqual([
      '2+1',
      '1+1',
    ]);
    expect(listed(reload, { ...reload, remote: '203.0.113.8' }, down)).toEqual(['2+0', '1+1']);
    expect(listed(reload, {}, reload, down)).toEqual(['4+0', '3+0', '1+1']);
  });

  it('has every row if no request is a reload', () => {
    expect(listed(down, down, {})).toEqual(['3+0', '2+0', '1+0']);
  });
});

describe('sizes and times', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [9_960, '10 kB'],
    [999_600, '1.0 MB'],
    [5_400_000_000, '5.4 GB'],
  ])('%d bytes are %s', (size, text) => expect(bytesText(size)).toBe(text));

  it.each([
    [undefined, ''],
    [0.04, '0.0 ms'],
    [9.96, '10 ms'],
    [999.6, '1.00 s'],
    [61_000, '61 s'],
  ])('%s ms are %s', (ms, text) => expect(msText(ms)).toBe(text));
});

describe('multipart/form-data', () => {
  const form = 'multipart/form-data; boundary="a b"';
  const whole =
    '--a b\r\nContent-Disposition: form-data; name="title"\r\n\r\nA\r\nB\r\n' +
    '--a b\r\ncontent-disposition: form-data; name="x%22y"; filename="a;b.png"\r\nContent-Type: image/png\r\n\r\n\0\r\n--a\r\n' +
    '--a b--\r\n';
  const texts = (body: string, type = form) =>
    partsOf(type, bytes(body) as Uint8Array<ArrayBuffer>)?.map(({ bytes: content, ...part }) => ({
      ...part,
      text: new TextDecoder().decode(content),
    }));

  it('is parsed into its parts', () => {
    expect(texts(whole)).toEqual([
      { name: 'title', text: 'A\r\nB', isCut: false },
      { name: 'x"y', filename: 'a;b.png', type: 'image/png', text: '\0\r\n--a', isCut: false },
    ]);
    expect(texts(`preamble\r\n${whole}`)).toHaveLength(2);
  });

  it('may be truncated anywhere', () => {
    for (let length = 0; length <= whole.length; length++) texts(whole.slice(0, length));
    expect(texts(whole.slice(0, 60))).toMatchObject([{ name: 'title', isCut: true }]);
    expect(texts('--a b--')).toEqual([]);
  });

  it('is not parsed without its boundary', () => {
    expect(texts(whole, 'multipart/form-data')).toBeUndefined();
    expect(texts(whole, 'multipart/mixed; boundary="a b"')).toBeUndefined();
    expect(texts('nothing of it')).toBeUndefined();
  });

  it('has at most 200 parts', () => {
    const part = '\r\n--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1';
    expect(texts(part.repeat(300), 'multipart/form-data;boundary=x')).toHaveLength(200);
  });
});

describe('formatted JSON', () => {
  it.each([
    ['{"a":1,"b":[1,2,{}],"c":[ ]}', '{\n  "a": 1,\n  "b": [\n    1,\n    2,\n    {}\n  ],\n  "c": []\n}'],
    ['{"id":12345678901234567890,"id":1.0}', '{\n  "id": 12345678901234567890,\n  "id": 1.0\n}'],
    ['["a,b","{","\\"]"]', '[\n  "a,b",\n  "{",\n  "\\"]"\n]'],
    ['  true ', 'true'],
    ['{"a":', undefined],
  ])('%s', (text, pretty) => {
    expect(prettyJson(text)).toBe(pretty);
  });
});

describe('a body', () => {
  it.each([
    ['application/json; charset=utf-8', bytes('{}'), 'json'],
    ['application/problem+json', bytes('{}'), 'json'],
    [undefined, bytes(' [1]'), 'json'],
    ['application/x-www-form-urlencoded', bytes('a=1'), 'form'],
    ['text/html', bytes('<script>alert(1)</script>'), 'text'],
    ['image/svg+xml', bytes('<svg/>'), 'image'],
    ['text/plain', new Uint8Array([0, 1, 2]), 'binary'],
    ['text/plain', new Uint8Array([0xff, 0xfe]), 'binary'],
    // The beginning of a character that was cut.
    ['text/plain', new Uint8Array([0x61, 0xe2, 0x82]), 'text'],
    ['text/plain', new Uint8Array(), 'empty'],
  ])('of type %s is shown correctly', (type, body, kind) => {
    expect(kindOf(type, body)).toBe(kind);
  });

  it('is shown as a hex dump, 16 bytes a line', () => {
    expect(hexDump(bytes('0123456789abcdef\nZ'), 100)).toBe(
      '00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef\n' +
        '00000010  0a 5a                                             .Z',
    );
    expect(hexDump(new Uint8Array(100), 16).split('\n')).toHaveLength(1);
  });
});

/** What a script makes of the call: the arguments of fetch. */
const called = (script: string): [url: string, init: Record<string, unknown>] =>
  runInNewContext(script.replace('await fetch', '((...asked) => asked)'), { atob, Uint8Array }) as [
    string,
    Record<string, unknown>,
  ];

describe('a request as a command', () => {
  const message = { trailers: [], body: { bytes: 0, keptBytes: 0 } };
  const details: RequestDetails = {
    ...row,
    version: '1.1',
    request: { ...message, headers: [] },
    response: { ...message, headers: [] },
    revealed: true,
  };

  it('contains each header, except those that curl sets', () => {
    const headers = [
      { name: 'Host', value: 'app.localhost' },
      { name: 'X-Empty', value: '' },
      { name: 'X-Quote', value: `it's $(reboot) "here" \`too\`` },
    ];
    const command = asCurl(
      { ...details, target: "/a'b?c=[1]", request: { ...message, headers } },
      new Uint8Array(),
    );
    expect(argumentsOf(command)).toEqual([
      '--globoff',
      '--path-as-is',
      "https://app.localhost/a'b?c=[1]",
      '--header',
      'X-Empty;',
      '--header',
      `X-Quote: it's $(reboot) "here" \`too\``,
    ]);
  });

  it('shows no control characters, and still sends them', () => {
    const command = asCurl(
      {
        ...details,
        target: "/\x9b2J\x9d0;100%'$(reboot)\\n",
        request: { ...message, headers: [{ name: 'X-Bell', value: '\tit\x85é' }] },
      },
      bytes('{"admin":\u202e"no"}'),
    );
    expect(command).not.toMatch(/(?!\n)\p{Cc}|\p{Bidi_Control}/u);
    const sent = execFileSync('sh', ['-c', `curl() { cat >/dev/null; printf '%s\\0' "$@"; }; ${command}`], {
      encoding: 'latin1',
    });
    expect(sent.split('\0')).toEqual(
      expect.arrayContaining([
        "https://app.localhost/\x9b2J\x9d0;100%'$(reboot)\\n",
        'X-Bell: \tit\x85é',
        '--data-binary',
      ]),
    );
  });

  it('sends text as an argument, and other bytes through a pipe', () => {
    const post = { ...details, method: 'POST' };
    const text = argumentsOf(asCurl(post, new TextEncoder().encode("@x='1'\n&y=2")));
    expect(text.slice(-2)).toEqual(['--data-raw', "@x='1'\n&y=2"]);
    const command = asCurl({ ...post, method: 'PUT' }, new Uint8Array([0, 255, 10]));
    const sent = execFileSync('sh', ['-c', `curl() { cat; }; ${command}`]);
    expect([...sent]).toEqual([0, 255, 10]);
    expect(command).toContain('--request PUT');
  });

  const HOSTILE = [
    '',
    `it's "$(reboot)" \`too\` \\ \\n`,
    '=x',
    '@/etc/passwd',
    ';:=@',
    '\x9b2J\x85',
    '-f',
    '\u00e9',
  ];

  it('becomes arguments for HTTPie, whatever a header contains', () => {
    for (const value of HOSTILE.filter((each) => !/\\[:=@;]/.test(each))) {
      const headers = [{ name: '-X', value }];
      const command = asHttpie({ ...details, request: { ...message, headers } }, new Uint8Array());
      expect(command).not.toMatch(/(?!\n)\p{Cc}/u);
      const item = value === '' ? '-X;' : `-X:${/^[=@]/.test(value) ? '\\' : ''}${value}`;
      const encoding = value === '\u00e9' ? 'utf8' : 'latin1';
      expect(argumentsOf(command, 'http', encoding)).toEqual([
        '--path-as-is',
        '--ignore-stdin',
        '--',
        'GET',
        'https://app.localhost/reports?year=2026',
        item,
      ]);
    }
    const headers = [{ name: 'X', value: '\\:' }];
    expect(() => asHttpie({ ...details, request: { ...message, headers } }, new Uint8Array())).toThrow(
      'HTTPie cannot send this value of X',
    );
  });

  it('makes HTTPie send text as an argument, and other bytes through a pipe', () => {
    const post = { ...details, method: 'POST' };
    const sent = argumentsOf(asHttpie(post, bytes(`it's $(x)\n`)), 'http');
    expect(sent).toContain(`--raw=it's $(x)\n`);
    expect(sent.at(-1)).toBe('Content-Type:');
    const piped = asHttpie(post, new Uint8Array([0, 255, 10]));
    expect([...execFileSync('sh', ['-c', `http() { cat; }; ${piped}`])]).toEqual([0, 255, 10]);
    expect(piped).not.toContain('--ignore-stdin');
  });

  it('becomes an equivalent call of fetch', () => {
    for (const value of HOSTILE) {
      const text = asFetch(
        {
          ...details,
          method: 'POST',
          target: `/a'b"\x9b\xff?q=\${x}`,
          request: { ...message, headers: [{ name: 'X', value }] },
        },
        bytes(`${value}</script>\u2028\u202e`),
      );
      expect(text).not.toMatch(/(?!\n)\p{Cc}|\p{Bidi_Control}|\p{Zl}/u);
      expect(JSON.parse(JSON.stringify(called(text)))).toEqual([
        `https://app.localhost/a'b"%9B%FF?q=\${x}`,
        { method: 'POST', headers: [['X', value]], body: `${value}</script>\u2028\u202e` },
      ]);
    }
    const [, { body }] = called(asFetch({ ...details, method: 'PUT' }, new Uint8Array([0, 255, 10])));
    expect([...(body as Uint8Array)]).toEqual([0, 255, 10]);
    expect(asFetch(details, bytes('x'))).toContain('// fetch sends no body with GET');
  });

  it('quotes everything that a shell would interpret', () => {
    for (const each of ['', 'a b', "'", "''", '$x', '`x`', '!x', '*', '~', '\\', '\n', 'ü', '#', '-x'])
      expect(execFileSync('sh', ['-c', `printf %s ${quote(each)}`], { encoding: 'utf8' })).toBe(each);
  });
});

const field = (name: string, value: string): { name: string; value: string } => ({ name, value });
const lines = (prefix: string): string => Array.from({ length: 5_000 }, (_, i) => `${prefix}${i}`).join('\n');

describe('two requests that are compared', () => {
  it('differ in fields that one lacks or that have another value', () => {
    const before = [field('A', '1'), field('B', '1'), field('C', 'x'), field('C', 'y')];
    const after = [field('a', '1'), field('B', '2'), field('c', 'x'), field('D', '')];
    expect(fieldDifferences(before, after)).toEqual([
      { name: 'b', before: '1', after: '2' },
      { name: 'c', before: 'y' },
      { name: 'd', after: '' },
    ]);
  });

  it.each([
    ['a\nb\nc', 'a\nc', ' a|-b| c'],
    ['a\nc', 'a\nb\nc', ' a|+b| c'],
    ['a\nb\nc\nd', 'a\nx\nc\ny\nd', ' a|-b|+x| c|+y| d'],
    ['a', 'b', '-a|+b'],
    ['a\na\na', 'a\na', ' a| a|-a'],
  ])('differ by line: %j and %j', (before, after, shown) => {
    const signs = { same: ' ', before: '-', after: '+' };
    expect(
      lineDifferences(before, after)
        .map(({ kind, text }) => signs[kind] + text)
        .join('|'),
    ).toBe(shown);
  });

  it('may be long and have no line in common', () => {
    expect(lineDifferences(lines('a'), lines('b'))).toHaveLength(10_000);
  });
});
