import type * as Module from 'node:http2';

type Http2 = typeof Module;

let loaded: Http2 | undefined;

/** Node's HTTP/2. Loaded at the first use, since it needs more than 1 MB. */
export function http2(): Http2 {
  return (loaded ??= process.getBuiltinModule('node:http2'));
}
