export const HEAD_END = '\r\n\r\n';

/** The head of a message of HTTP/1.1 that begins at `start`; undefined where it does not end before `end`. */
export function headIn(bytes: Buffer, start: number, end: number): string | undefined {
  const length = bytes.subarray(start, end).indexOf(HEAD_END);
  return length < 0 ? undefined : bytes.toString('latin1', start, start + length + HEAD_END.length);
}

/** Values of a header, one for each line with that name. */
export function valuesOf(head: string, name: string): string[] {
  const lines = head.matchAll(new RegExp(`\\r\\n${name}:[ \\t]*(.*?)[ \\t]*(?=\\r\\n)`, 'gi'));
  return Array.from(lines, ([, value]) => value!);
}

/** NaN without a Content-Length, or with more than one. */
export function lengthIn(head: string): number {
  const values = valuesOf(head, 'content-length');
  return values.length === 1 && /^\d{1,15}$/.test(values[0]!) ? Number(values[0]) : NaN;
}
