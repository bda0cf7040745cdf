import type { Socket } from 'node:net';
import { deadline } from '../../lib/wait.js';

/** Detects the protocol of a visitor from its first bytes. */

/** Any token is a method (RFC 9110, section 9.1). */
const REQUEST_LINE = /^[\w!#$%&'*+\-.^`|~]{1,32} \S+ HTTP\/1\.[01]\r?\n/;
/** The start of a line that may become a request line. */
const COULD_BE_HTTP = /^[\w!#$%&'*+\-.^`|~]{1,32}( |$)/;
/** A request line that is long or slow. */
const STARTS_AS_HTTP = /^[\w!#$%&'*+\-.^`|~]{1,32} (\/|https?:\/\/)/;
const MAX_LINE_BYTES = 16 * 1024;

/** `http`: an HTTP request line. `unclear`: it may still become one. */
export function protocolOf(text: string): 'http' | 'other' | 'unclear' {
  if (REQUEST_LINE.test(text)) return 'http';
  if (text.includes('\n') || !COULD_BE_HTTP.test(text)) return 'other';
  return text.length >= MAX_LINE_BYTES ? incomplete(text) : 'unclear';
}

/** A request line without an end is a request too: its URL is long, or its connection slow. */
function incomplete(text: string): 'http' | 'other' {
  return STARTS_AS_HTTP.test(text) ? 'http' : 'other';
}

export interface FirstLineTimeouts {
  /** A visitor without a byte for this long counts as waiting for the target to speak first. */
  readonly silenceMs: number;
  /** Timeout of the request line. */
  readonly lineMs: number;
}

/**
 * Reads as much of a visitor's first line as necessary, and puts it back. Resolves with the protocol, or `silent` if nothing
 * arrived in time, the visitor disconnected, or `signal` aborted before its first byte.
 */
export function firstLine(
  socket: Socket,
  { silenceMs, lineMs }: FirstLineTimeouts,
  signal?: AbortSignal,
): Promise<'http' | 'other' | 'silent'> {
  return new Promise((resolve) => {
    let said: Buffer = Buffer.alloc(0);
    const decide = (is: 'http' | 'other' | 'silent'): void => {
      inTime();
      socket.off('readable', check).off('close', stop);
      signal?.removeEventListener('abort', late);
      if (said.length > 0) socket.unshift(said);
      resolve(is);
    };
    const stop = (): void => decide('silent');
    const late = (): void => decide(said.length === 0 ? 'silent' : incomplete(said.toString('latin1')));
    let inTime = deadline(silenceMs, late);
    // Read only available bytes: reading past the end would consume the end, which the target must see.
    const check = (): void => {
      if (socket.readableLength === 0) return stop();
      if (said.length === 0) {
        signal?.removeEventListener('abort', late);
        inTime();
        inTime = deadline(lineMs, late);
      }
      said = Buffer.concat([said, socket.read() as Buffer]);
      const is = protocolOf(said.toString('latin1', 0, MAX_LINE_BYTES));
      if (is !== 'unclear') decide(is);
    };
    socket.on('readable', check).once('close', stop);
    signal?.addEventListener('abort', late, { once: true });
  });
}
