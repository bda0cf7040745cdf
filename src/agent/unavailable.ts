import type { Socket } from 'node:net';
import { endWith } from '../net/last-words.js';

/** How long a visitor of a dead service may take to say what it wants, and to read the answer. */
const FIRST_BYTES_MS = 5_000;
const LINGER_MS = 1_000;
const MAX_HEAD_BYTES = 16 * 1024;
const REQUEST_LINE = /^[A-Z][A-Z-]{0,19} \S+ HTTP\/1\.[01]\r?\n/;
const COULD_BE_HTTP = /^[A-Z][A-Z-]{0,19}( |$)/;

/**
 * The local service is not there: a visitor who speaks HTTP/1 gets a short page that says so, any other is closed.
 * Owns the socket from here on.
 */
export function answerUnavailable(socket: Socket, service: string, { code }: { code: string }): void {
  let head = '';
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTES_MS);
  const onData = (chunk: Buffer): void => {
    head += chunk.toString('latin1', 0, MAX_HEAD_BYTES);
    if (REQUEST_LINE.test(head)) finish(page(service, code, head.startsWith('HEAD ')));
    else if (head.length >= MAX_HEAD_BYTES || !COULD_BE_HTTP.test(head)) finish(undefined);
  };
  const finish = (answer: string | undefined): void => {
    socket.off('data', onData);
    clearTimeout(timer);
    if (answer === undefined) return void socket.destroy();
    endWith(socket, answer, LINGER_MS);
  };
  socket.on('error', () => undefined);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.on('data', onData);
}

function page(service: string, code: string, headOnly: boolean): string {
  // What is wrong, and nothing of where the service is.
  const isUntrusted = code === 'target_untrusted';
  const status = isUntrusted ? '502 Bad Gateway' : '503 Service Unavailable';
  const [state, reason] = isUntrusted
    ? ['cannot be reached safely', 'the certificate of the service behind it is not trusted']
    : ['is not running', 'the service behind it does not answer'];
  // The name is one DNS label or a checked key; escaped all the same, it comes out of a file.
  const name = service.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const body = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3"><meta name="color-scheme" content="light dark">
<title>${name} ${state}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}</style>
<h1>${name} ${state}</h1>
<p>The tunnel is up, but ${reason}. This page tries again by itself.</p>
</html>
`;
  const headers = [
    `HTTP/1.1 ${status}`,
    'Content-Type: text/html; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Retry-After: 3',
    'Cache-Control: no-store',
    'X-Robots-Tag: noindex',
    'Connection: close',
  ];
  return `${headers.join('\r\n')}\r\n\r\n${headOnly ? '' : body}`;
}
