import type { AccessEntry } from '../../agent/access-log.js';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * A request in the Common Log Format with virtual host, in UTC, as Apache's `%v:%p %h %l %u %t "%r" %>s %b`: `web.example.com:443
 * 203.0.113.7 - - [01/Dec/2026:16:20:05 +0000] "GET / HTTP/1.1" 200 12`.
 */
export function commonLogLine({
  remote,
  time,
  method,
  target,
  version,
  authority,
  status,
  responseBytes,
}: AccessEntry): string {
  const request = [method, target, `HTTP/${version}`].map(quotable).join(' ');
  return `${hostOf(authority)} ${remote} - - [${logTime(time)}] "${request}" ${status} ${responseBytes === 0 ? '-' : responseBytes}`;
}

/** The host that the visitor asked for, with its port. */
function hostOf(authority: string): string {
  const host = quotable(authority || '-').replaceAll(' ', '\\x20');
  return /:\d+$/.test(host) ? host : `${host}:443`;
}

/** As nginx writes it: what a visitor sent ends neither the quotes nor the line. */
function quotable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|["\\]/gu, (char) =>
    [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

function logTime(iso: string): string {
  const [, year, month, day, time] = /^(\d+)-(\d\d)-(\d\d)T([\d:]+)/.exec(iso)!;
  return `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
}
