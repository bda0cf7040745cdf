/** Requests of HTTP/2 that would become two, or another one, if their fields were copied into HTTP/1.1 unchanged. */

type Pairs = readonly (readonly [name: string, value: string])[];

export interface AmbiguousH2 {
  readonly what: string;
  /** `{n}` is the number of the case. */
  readonly fields: Pairs;
  readonly body: string;
  /** The target must not get it. A field with a forbidden name or value may also be dropped, and the rest passes. */
  readonly mustFail?: boolean;
}

const INNER = 'GET /smuggled-{n} HTTP/1.1\r\nHost: HOST\r\n\r\n';
const pseudo = (over: Readonly<Record<string, string>> = {}): Pairs =>
  Object.entries({
    ':method': 'POST',
    ':scheme': 'https',
    ':path': '/case-{n}',
    ':authority': 'HOST',
    ...over,
  });

const show = (text: string): string => JSON.stringify(text);

const hasLineEnd = (text: string): boolean => /[\r\n\0]/.test(text);

/** Values that would end a line or a field of HTTP/1.1. */
const INJECTED = [
  `y\r\nTransfer-Encoding: chunked`,
  `y\nTransfer-Encoding: chunked`,
  `y\rTransfer-Encoding: chunked`,
  `y\r\n\r\n${INNER}`,
  `y\n\n${INNER}`,
  `y\0Transfer-Encoding: chunked`,
  '\r\n',
  '\0',
];

const PATHS = [
  '/case-{n} HTTP/1.1\r\nX: y',
  '/case-{n} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y',
  `/case-{n} HTTP/1.1\r\nHost: HOST\r\n\r\n${INNER}`,
  '/case-{n} HTTP/1.1',
  '/case-{n}\t',
  '/case-{n}\n',
  '/case-{n}\0',
  '',
  'case-{n}',
  '*',
  'https://other.example/case-{n}',
  '/case-{n}#/smuggled-{n}',
];

const METHODS = [
  'GET /smuggled-{n} HTTP/1.1\r\nX:',
  `GET /smuggled-{n} HTTP/1.1\r\nHost: HOST\r\n\r\nGET`,
  'GET ',
  ' GET',
  'G\0ET',
  'GET\n',
  '',
  'PRI',
  'CONNECT',
];

const AUTHORITIES = [
  'HOST\r\nTransfer-Encoding: chunked',
  'HOST\nX: y',
  'HOST other.example',
  'HOST@other.example',
  'other.example@HOST',
  'HOST/..',
  'other.example',
  '',
  'HOST:80:80',
];

const SCHEMES = ['http', 'https\r\nX: y', 'https://HOST/smuggled-{n}?', '', 'file'];

const NAMES = [
  'x: y\r\ntransfer-encoding',
  'x\r\ntransfer-encoding',
  'x\ntransfer-encoding',
  'transfer-encoding: chunked\r\nx',
  'x y',
  'x:',
  'x\0',
  '',
  'X-Upper',
  'Transfer-Encoding',
  'transfer_encoding',
];

/** Fields that belong to one connection of HTTP/1.1 (RFC 9113, 8.2.2). */
const OF_A_CONNECTION: Pairs = [
  ['transfer-encoding', 'chunked'],
  ['transfer-encoding', 'identity'],
  ['connection', 'close'],
  ['connection', 'transfer-encoding'],
  ['keep-alive', 'timeout=5'],
  ['proxy-connection', 'keep-alive'],
  ['upgrade', 'h2c'],
  ['te', 'chunked'],
];

const LENGTHS = ['0', '1', '05', '+5', '5 ', '5,5', '0x5', '', '99999999999999999999', '5\r\nX: y'];

export function smugglingCorpusH2(): AmbiguousH2[] {
  const one = (what: string, fields: Pairs, mustFail = false, body: string = INNER): AmbiguousH2 => ({
    what,
    fields,
    body,
    mustFail,
  });
  const inPseudo = (name: string, values: readonly string[]): AmbiguousH2[] =>
    values.map((value) =>
      one(
        `${name} ${show(value)}`,
        pseudo({ [name]: value }),
        hasLineEnd(value) || (value === '' && name === ':path'),
      ),
    );
  return [
    ...INJECTED.flatMap((value) =>
      ['x', 'cookie', 'user-agent', 'te', 'content-type', 'x-forwarded-for', 'trailer'].map((name) =>
        one(`${name} ${show(value)}`, [...pseudo(), [name, value]]),
      ),
    ),
    ...inPseudo(':path', PATHS),
    ...inPseudo(':method', METHODS),
    ...inPseudo(':authority', AUTHORITIES),
    ...inPseudo(':scheme', SCHEMES),
    ...NAMES.map((name) => one(`the name ${show(name)}`, [...pseudo(), [name, 'chunked']])),
    ...OF_A_CONNECTION.map(([name, value]) =>
      one(`${name} ${show(value)}`, [...pseudo(), [name, value]], true),
    ),
    ...LENGTHS.map((length) =>
      one(`a length of ${show(length)}`, [...pseudo(), ['content-length', length]], /^\d+$/.test(length)),
    ),
    one('two lengths', [...pseudo(), ['content-length', `${INNER.length}`], ['content-length', '5']], true),
    one('two paths', [...pseudo(), [':path', '/smuggled-{n}']], true),
    one('two methods', [...pseudo(), [':method', 'GET']], true),
    one('a path after a field', [['x', 'y'], ...pseudo()], true),
    one(
      'no path',
      pseudo().filter(([name]) => name !== ':path'),
      true,
    ),
    one(
      'no method',
      pseudo().filter(([name]) => name !== ':method'),
      true,
    ),
    one('an unknown pseudo-field', [...pseudo(), [':x', 'y']], true),
    one('another Host', [...pseudo(), ['host', 'other.example']]),
    one('a Host with a line end', [...pseudo(), ['host', 'HOST\r\nX: y']]),
    one('only a Host', [...pseudo().filter(([name]) => name !== ':authority'), ['host', 'HOST']]),
  ];
}
