import { expect, it } from 'vitest';
import { conversationIn, type Conversation } from './conversation.js';

const h1 = (): Conversation => conversationIn('http/1.1')!;

function asks(conversation: Conversation, text: string | Buffer): void {
  const bytes = Buffer.from(text as string);
  // Surrounded by other bytes, as in a shared buffer.
  conversation.visitorSent(Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]), 2, 2 + bytes.length);
}

function answers(conversation: Conversation, ...texts: (string | Buffer)[]): void {
  for (const text of texts) {
    const bytes = Buffer.from(text as string);
    conversation.targetSent(
      Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]),
      2,
      2 + bytes.length,
    );
  }
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

it('is between exchanges before the first, and in one from its first byte', () => {
  const conversation = h1();
  expect(conversation.progress).toBe('between');
  asks(conversation, 'G');
  expect(conversation.progress).toBe('exchange');
});

it('finds the end of a response by its length', () => {
  const conversation = h1();
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Le', 'ngth: 10\r\n\r\n12345');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, '67890');
  expect(conversation.progress).toBe('between');
  asks(conversation, GET);
  expect(conversation.progress).toBe('exchange');
  answers(conversation, 'HTTP/1.1 204 No Content\r\n\r\n');
  expect(conversation.progress).toBe('between');
});

it('finds the end of a chunked response, however it is split', () => {
  const conversation = h1();
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', '3\r\nabc\r\n');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, '0\r', '\n\r');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, '\n');
  expect(conversation.progress).toBe('between');
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  expect(conversation.progress).toBe('between');
});

it('follows a response that starts before its request ends', () => {
  const conversation = h1();
  asks(conversation, 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n');
  answers(conversation, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  asks(conversation, '3\r\none\r\n');
  answers(conversation, '3\r\none\r\n');
  expect(conversation.progress).toBe('exchange');
  asks(conversation, '0\r\n\r\n');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, '0\r\n\r\n');
  expect(conversation.progress).toBe('between');
});

it.each([
  ['HEAD / HTTP/1.1\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 'between'],
  [GET, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n', 'between'],
  [GET, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end', 'exchange'],
  [GET, 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n', 'exchange'],
  [
    GET,
    'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1',
    'between',
  ],
  [
    GET,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n',
    'endless',
  ],
  [GET, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\n', 'unclear'],
  [GET, `HTTP/1.1 200 OK\r\nSet-Cookie: ${'a'.repeat(4_000)}\r\nContent-Length: 1\r\n\r\n1`, 'between'],
  [GET, `HTTP/1.1 200 OK\r\nSet-Cookie: ${'a'.repeat(40_000)}\r\nContent-Length: 1\r\n\r\n1`, 'unclear'],
  [GET, 'HTT', 'exchange'],
  [GET, 'SSH-2.0-OpenSSH\r\n', 'other'],
  ['SSH-2.0-OpenSSH\r\n', 'SSH-2.0-OpenSSH\r\n', 'other'],
  ['CONNECT a:1 HTTP/1.1\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', 'other'],
])('%j with the response %j is %s', (question, answer, progress) => {
  const conversation = h1();
  asks(conversation, question);
  answers(conversation, answer);
  expect(conversation.progress).toBe(progress);
});

it.each(['http/1.1', 'h2'])('detects another protocol in a visitor that agreed on %s', (alpn) => {
  const conversation = conversationIn(alpn)!;
  asks(conversation, Buffer.from([0, 159, 7, 200, 13, 10]));
  asks(conversation, Buffer.alloc(40, 7));
  answers(conversation, Buffer.from([0, 159, 7, 200]));
  expect(conversation.progress).toBe('other');
});

it('detects another protocol in a target that responds without HTTP, or speaks first', () => {
  const [second, first] = [h1(), h1()];
  asks(second, GET);
  answers(second, '+OK ready\r\n');
  answers(first, '220 mail.example.com ESMTP\r\n');
  for (const conversation of [second, first]) {
    asks(conversation, GET);
    answers(conversation, 'HTTP/1.1 204 No Content\r\n\r\n');
    expect(conversation.progress).toBe('other');
  }
});

it('reads a long head that arrives in pieces', () => {
  const conversation = h1();
  asks(conversation, GET);
  const head = `HTTP/1.1 200 OK\r\nSet-Cookie: ${'a'.repeat(20_000)}\r\n`;
  for (let at = 0; at < head.length; at += 1_500) answers(conversation, head.slice(at, at + 1_500));
  expect(conversation.progress).toBe('exchange');
  answers(conversation, 'Content-Length: 3\r\n\r\nab');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, 'c');
  expect(conversation.progress).toBe('between');
});

it('remembers an upgrade for the life of the connection', () => {
  const conversation = h1();
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
  asks(conversation, 'frame');
  answers(conversation, 'frame');
  expect(conversation.progress).toBe('other');
});

function frame(type: number, flags: number, stream: number, payload = 0): Buffer {
  const bytes = Buffer.alloc(9 + payload);
  bytes.writeUIntBE(payload, 0, 3);
  bytes.set([type, flags], 3);
  bytes.writeUInt32BE(stream, 5);
  return bytes;
}

it('counts HTTP/2 streams, and ignores settings, pings and window updates', () => {
  const conversation = conversationIn('h2')!;
  asks(conversation, Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, 18)]));
  expect(conversation.progress).toBe('between');
  const [request, other] = [frame(1, 5, 1, 40), frame(1, 5, 3, 40)];
  asks(conversation, Buffer.concat([request, other.subarray(0, 5)]));
  asks(conversation, other.subarray(5));
  answers(conversation, Buffer.concat([frame(4, 0, 0), frame(1, 4, 1, 30), frame(0, 1, 1, 5_000)]));
  expect(conversation.progress).toBe('exchange');
  asks(conversation, Buffer.concat([frame(4, 1, 0), frame(8, 0, 0, 4), frame(6, 0, 0, 8)]));
  answers(conversation, frame(1, 5, 3, 30));
  expect(conversation.progress).toBe('between');
  asks(conversation, frame(1, 4, 5, 10));
  expect(conversation.progress).toBe('exchange');
  asks(conversation, frame(3, 0, 5, 4));
  expect(conversation.progress).toBe('between');
});

it('does not follow unknown protocols', () => {
  expect(conversationIn('imap')).toBeUndefined();
});

it('recognises HTTP without ALPN by the first line of the visitor', () => {
  const conversation = conversationIn(undefined)!;
  expect(conversation.progress).toBe('other');
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
  expect(conversation.progress).toBe('exchange');
  answers(conversation, 'k');
  expect(conversation.progress).toBe('between');
});

it('without ALPN, treats a connection without a request first as another protocol', () => {
  const [visitor, target] = [conversationIn(undefined)!, conversationIn(undefined)!];
  asks(visitor, 'SSH-2.0-OpenSSH\r\n');
  answers(target, '220 mail.example.com ESMTP\r\n');
  for (const conversation of [visitor, target]) {
    asks(conversation, GET);
    answers(conversation, 'HTTP/1.1 204 No Content\r\n\r\n');
    expect(conversation.progress).toBe('other');
  }
});

it('does not trust the end of a response while requests are pipelined', () => {
  const conversation = h1();
  asks(conversation, GET);
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1');
  expect(conversation.progress).toBe('unclear');
});

it('announces the end of the next whole exchange on request', () => {
  const conversation = h1();
  let ends = 0;
  asks(conversation, GET);
  conversation.onceExchanged!(() => void ends++);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  expect(ends).toBe(0);
  asks(conversation, GET);
  answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', 'o');
  expect(ends).toBe(0);
  answers(conversation, 'k');
  expect(ends).toBe(1);
});

it('announces no end after pipelining or an upgrade', () => {
  const [pipelined, upgraded] = [h1(), h1()];
  asks(pipelined, GET);
  asks(pipelined, GET);
  asks(upgraded, GET);
  answers(upgraded, 'HTTP/1.1 101 Switching Protocols\r\n\r\n');
  for (const conversation of [pipelined, upgraded]) {
    conversation.onceExchanged!(() => expect.unreachable());
    for (let i = 0; i < 3; i++) {
      answers(conversation, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1');
      asks(conversation, GET);
    }
  }
});
