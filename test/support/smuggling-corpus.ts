/**
 * Requests that servers are known to read differently, as in the literature on request smuggling: spellings of
 * Transfer-Encoding and Content-Length, of chunks, lines and Hosts. Generated, so that each spelling meets each position.
 */

export interface Ambiguous {
  /** What is unusual about it, for messages. */
  readonly what: string;
  /** The bytes of one request in Latin-1. `{n}` is the number of the case, which the path contains. */
  readonly bytes: string;
  /** RFC 9112 demands an error response, or lets it choose one; here it must be one. */
  readonly mustFail?: boolean;
}

const HOST = 'Host: HOST';
const INNER = 'GET /smuggled-{n} HTTP/1.1\r\nHost: HOST\r\n\r\n';
const CHUNKED = `0\r\n\r\n${INNER}`;

const show = (text: string): string => JSON.stringify(text);

function post(lines: readonly string[], body: string): string {
  return `POST /case-{n} HTTP/1.1\r\n${[HOST, ...lines].join('\r\n')}\r\n\r\n${body}`;
}

const lengthOf = (body: string): string => `Content-Length: ${body.length}`;

/** Spellings of the name of a framing field, applied to its usual name. */
const NAMES: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => `${name} `,
  (name) => `${name}\t`,
  (name) => ` ${name}`,
  (name) => `\t${name}`,
  (name) => `${name}\0`,
  (name) => `\0${name}`,
  (name) => `${name}\x0b`,
  (name) => `${name}\xa0`,
  (name) => `\xff${name}`,
  (name) => name.replace('-', '_'),
  (name) => name.replace('-', ' '),
  (name) => name.replace('-', ''),
  (name) => `X: y\r${name}`,
  (name) => `X: y\n${name}`,
  (name) => `X: y\n\r${name}`,
  (name) => `X:\r\n ${name}`,
  (name) => `:${name}`,
  (name) => `"${name}"`,
];

const CODINGS = [
  'chunked',
  'Chunked',
  'CHUNKED',
  'chunked ',
  'chunked\t',
  '\tchunked',
  '\x0bchunked',
  'chunked\x0b',
  '\xa0chunked',
  '"chunked"',
  "'chunked'",
  'chunked, identity',
  'identity, chunked',
  'identity',
  'chunked, chunked',
  'gzip, chunked',
  'chunked, gzip',
  'xchunked',
  'chunkedx',
  'chunk',
  ',chunked',
  'chunked,',
  'chunked;q=1',
  'chunked, cow',
  'cow',
  '',
  '\r\n chunked',
  'chun\r\n ked',
  'chun\0ked',
  'chunked\0',
  '\nchunked',
  'chunked\rX: y',
];

/** A chunked body that contains a request, with a length that covers all of it, its first chunk, or nothing. */
const LENGTHS: Record<string, readonly string[]> = {
  'no length': [],
  'a length of all': [lengthOf(CHUNKED)],
  'a length of the last chunk': ['Content-Length: 5'],
  'a length of 0': ['Content-Length: 0'],
};

function* codingCases(): Generator<Ambiguous> {
  const spelled = [
    ...NAMES.map((spell) => `${spell('Transfer-Encoding')}: chunked`),
    ...CODINGS.slice(1).map((value) => `Transfer-Encoding: ${value}`),
    'Transfer-Encoding:chunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-encoding: cow',
  ];
  for (const line of spelled) {
    for (const [what, lengths] of Object.entries(LENGTHS)) {
      yield { what: `${show(line)}, ${what} before it`, bytes: post([...lengths, line], CHUNKED) };
      if (lengths.length === 0) continue;
      yield { what: `${show(line)}, ${what} after it`, bytes: post([line, ...lengths], CHUNKED) };
    }
  }
}

function* bothFramings(): Generator<Ambiguous> {
  for (const [what, lengths] of Object.entries(LENGTHS)) {
    if (lengths.length === 0) continue;
    const line = 'Transfer-Encoding: chunked';
    yield { what: `both framings, ${what}`, bytes: post([...lengths, line], CHUNKED), mustFail: true };
  }
}

const NUMBERS = [
  ' 5',
  '5 ',
  '\t5',
  '5\t',
  '+5',
  '-5',
  '0x5',
  '05',
  '0000000000000000000000005',
  '5.0',
  '5e0',
  '5,5',
  '5, 5',
  '5,6',
  '5 5',
  '5;',
  '"5"',
  '5\0',
  '\x0b5',
  '5\x0b',
  '\xb2',
  '',
  '18446744073709551621',
  '99999999999999999999999999',
  '5\r\n 0',
  '\r\n 5',
  '5\rX: y',
  '5\nX: y',
  'five',
  'NaN',
  'Infinity',
  '1_0',
];

function* lengthCases(): Generator<Ambiguous> {
  const body = `hello${INNER}`;
  for (const number of NUMBERS)
    yield { what: `a length of ${show(number)}`, bytes: post([`Content-Length: ${number}`], body) };
  for (const spell of NAMES.slice(1))
    yield { what: show(spell('Content-Length')), bytes: post([`${spell('Content-Length')}: 5`], body) };
  for (const [first, second] of [
    ['5', '5'],
    ['5', '0'],
    ['0', '5'],
    ['5', `${body.length}`],
    [`${body.length}`, '5'],
    ['5', '05'],
    ['5', ' 5'],
    ['5', ''],
    ['5', '+5'],
  ] as const) {
    const isPlain = first !== second && second !== '' && /^\d+$/.test(second);
    yield {
      what: `lengths of ${show(first)} and ${show(second)}`,
      bytes: post([`Content-Length: ${first}`, `Content-Length: ${second}`], body),
      mustFail: isPlain,
    };
  }
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])
    yield {
      what: `${method} with a body`,
      bytes: post([`Content-Length: ${INNER.length}`], INNER).replace('POST', method),
    };
}

const SIZES = [
  '5',
  '05',
  '0000000000000005',
  '00000000000000000000000000000005',
  '5 ',
  ' 5',
  '5\t',
  '\t5',
  '+5',
  '-5',
  '0x5',
  '5.0',
  '5h',
  'g',
  '',
  '5;ext',
  '5;ext=1',
  '5;ext="a\r\nb"',
  '5;ext\n',
  '5 ;ext',
  '5;\0',
  '5\0',
  '5\r',
  '5\x0b',
  'FFFFFFFFFFFFFFFF5',
  '10000000000000005',
  '7FFFFFFFFFFFFFFF',
  '-FFFFFFFB',
];
const CHUNK_ENDS = ['\r\n', '\n', '\r', '', 'XX', '\r\r\n', '\n\n', '\0\r\n'];
const LAST = [
  '0\r\n\r\n',
  '00\r\n\r\n',
  '0;ext\r\n\r\n',
  '0 \r\n\r\n',
  '-0\r\n\r\n',
  '+0\r\n\r\n',
  '0x0\r\n\r\n',
  '0\n\n',
  '0\r\n\n',
  '0\r\r\n\r\n',
  '0\r\nX: y\r\n\r\n',
  '0\r\nX : y\r\n\r\n',
  '0\r\n X: y\r\n\r\n',
  '0\r\nX: y\r\n z\r\n\r\n',
  '0\r\nX\r\n\r\n',
  '0\r\nContent-Length: 40\r\n\r\n',
  '0\r\nTransfer-Encoding: chunked\r\n\r\n',
  '0\r\nHost: other.example\r\n\r\n',
  '0\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n',
  '0\r\nAuthorization: Basic eDp5\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n',
];

const framed = (what: string, body: string): Ambiguous => ({
  what,
  bytes: post(['Transfer-Encoding: chunked'], `${body}${INNER}`),
});

function* chunkCases(): Generator<Ambiguous> {
  for (const size of SIZES)
    for (const end of ['\r\n', '\n', '\r']) {
      yield framed(`chunk size ${show(size)}${show(end)}`, `${size}${end}hello\r\n0\r\n\r\n`);
    }
  for (const end of CHUNK_ENDS)
    for (const last of LAST) {
      yield framed(`a chunk's end ${show(end)}, then ${show(last)}`, `5\r\nhello${end}${last}`);
    }
}

const REQUEST_LINES = [
  'GET  /case-{n} HTTP/1.1',
  'GET\t/case-{n} HTTP/1.1',
  'GET /case-{n}  HTTP/1.1',
  'GET /case-{n}\tHTTP/1.1',
  ' GET /case-{n} HTTP/1.1',
  '\r\nGET /case-{n} HTTP/1.1',
  '\nGET /case-{n} HTTP/1.1',
  '\0GET /case-{n} HTTP/1.1',
  'GET /case-{n} HTTP/1.1 ',
  'GET /case-{n} HTTP/1.1\n',
  'GET /case-{n} HTTP/1.1\r',
  'GET /case-{n} HTTP/1.0',
  'GET /case-{n} HTTP/1.2',
  'GET /case-{n} HTTP/1.10',
  'GET /case-{n} HTTP/01.1',
  'GET /case-{n} HTTP/0.9',
  'GET /case-{n} HTTP/2.0',
  'GET /case-{n} HTTP/3',
  'GET /case-{n} http/1.1',
  'GET /case-{n} HTTPS/1.1',
  'GET /case-{n} RTSP/1.0',
  'GET /case-{n}',
  'GET /case-{n} /smuggled-{n} HTTP/1.1',
  'GET /case-{n} HTTP/1.1 /smuggled-{n} HTTP/1.1',
  'GET /case-{n}\0 HTTP/1.1',
  'GET /case-{n}\x7f HTTP/1.1',
  'GET /case-{n}\xe9 HTTP/1.1',
  'GET /case-{n}\rHTTP/1.1',
  'GET /case-{n}#/smuggled-{n} HTTP/1.1',
  'GET /case-{n}\\..\\smuggled-{n} HTTP/1.1',
  'GET http://other.example/case-{n} HTTP/1.1',
  'GET http://HOST/case-{n} HTTP/1.1',
  'GET http://HOST@other.example/case-{n} HTTP/1.1',
  'GET //other.example/case-{n} HTTP/1.1',
  'GET case-{n} HTTP/1.1',
  'GET *case-{n} HTTP/1.1',
  'CONNECT other.example:80 HTTP/1.1',
  'CONNECT /case-{n} HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET * HTTP/1.1',
  'G\0ET /case-{n} HTTP/1.1',
  'GET, /case-{n} HTTP/1.1',
  '{GET} /case-{n} HTTP/1.1',
  'get /case-{n} HTTP/1.1',
  'PRI * HTTP/2.0',
];

function* lineCases(): Generator<Ambiguous> {
  for (const line of REQUEST_LINES) {
    yield { what: `the line ${show(line)}`, bytes: `${line}\r\n${HOST}\r\n\r\n` };
    yield {
      what: `the line ${show(line)} with a body`,
      bytes: `${line}\r\n${HOST}\r\n${lengthOf(INNER)}\r\n\r\n${INNER}`,
    };
  }
}

const FIELDS: readonly string[] = [
  'X: y\nZ: w',
  'X: y\rZ: w',
  'X: y\r\r\nZ: w',
  'X: y\0',
  'X: y\x7f',
  'X: \x01',
  'X y',
  'X',
  ': y',
  ' X: y',
  'X: y\r\n z',
  'X: y\r\n\tz',
  'X\0: y',
  'X(: y',
  'X[]: y',
  'X\xe9: y',
  'Connection: Content-Length',
  'Connection: Transfer-Encoding',
  'Connection: Host',
  'Connection: close, X-Forwarded-For',
  'Connection: close, X-Forwarded-Host, Forwarded',
  'Keep-Alive: timeout=5\r\nConnection: Keep-Alive, Content-Length',
  'Proxy-Connection: keep-alive',
  'TE: trailers, chunked',
  'Trailer: Content-Length',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Expect: 100-continue, 100-continue',
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
  'Upgrade: TLS/1.0\r\nConnection: Upgrade',
  'Upgrade: chunked\r\nConnection: Upgrade',
  'Content-Encoding: chunked',
  'Range: bytes=0-,0-,0-',
];

function* fieldCases(): Generator<Ambiguous> {
  for (const line of FIELDS) {
    yield { what: `the field ${show(line)}`, bytes: `GET /case-{n} HTTP/1.1\r\n${HOST}\r\n${line}\r\n\r\n` };
    yield { what: `the field ${show(line)}, a length`, bytes: post([line, lengthOf(INNER)], INNER) };
    yield {
      what: `the field ${show(line)} and chunks`,
      bytes: post([line, 'Transfer-Encoding: chunked'], CHUNKED),
    };
  }
}

const HOSTS: Readonly<Record<string, boolean>> = {
  '': true,
  'Host: HOST\r\nHost: HOST\r\n': true,
  'Host: HOST\r\nHost: other.example\r\n': true,
  'Host: other.example\r\nHost: HOST\r\n': true,
  'Host: HOST\r\nhost : other.example\r\n': true,
  'Host: HOST, other.example\r\n': false,
  'Host: HOST other.example\r\n': false,
  'Host: HOST\tother.example\r\n': false,
  'Host: HOST@other.example\r\n': false,
  'Host: other.example#@HOST\r\n': false,
  'Host: HOST/\r\n': false,
  'Host: HOST:80:80\r\n': false,
  'Host: HOST:port\r\n': false,
  'Host: HOST:-1\r\n': false,
  'Host: HOST\0\r\n': true,
  'Host: \r\n': false,
  'Host:\r\n HOST\r\n': false,
  'Host: HOST.\r\n': false,
  'X: y\nHost: HOST\r\n': true,
  ' Host: HOST\r\n': true,
  'Host: HOST\r\nX-Forwarded-Host: other.example\r\nForwarded: host=other.example\r\n': false,
};

function* hostCases(): Generator<Ambiguous> {
  for (const [host, mustFail] of Object.entries(HOSTS))
    for (const version of ['1.1', '1.0']) {
      yield {
        what: `HTTP/${version} with ${show(host)}`,
        bytes: `GET /case-{n} HTTP/${version}\r\n${host}\r\n`,
        ...(version === '1.1' && mustFail && { mustFail }),
      };
    }
}

/** Every case. */
export function smugglingCorpus(): Ambiguous[] {
  return [
    ...codingCases(),
    ...bothFramings(),
    ...lengthCases(),
    ...chunkCases(),
    ...lineCases(),
    ...fieldCases(),
    ...hostCases(),
  ];
}
