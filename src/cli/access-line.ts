import type { AccessEntry } from '../agent/access-log.js';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * A request in the Common Log Format of the web server of CERN and NCSA, in UTC: `203.0.113.7 - - [01/Dec/2026:16:20:05 +0000] "GET /
 * HTTP/1.1" 200 12`.
 */
export function commonLogLine({
  remote,
  time,
  method,
  target,
  version,
  status,
  responseBytes,
}: AccessEntry): string {
  const request = [method, target, `HTTP/${version}`].map(quotable).join(' ');
  return `${remote} - - [${logTime(time)}] "${request}" ${status} ${responseBytes === 0 ? '-' : responseBytes}`;
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
