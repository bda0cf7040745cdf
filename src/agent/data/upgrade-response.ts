import { REUSE_HEADER } from '../../protocol/reuse.js';

/** Larger than any response of a relay before a data connection starts. */
const MAX_BYTES = 8_192;

/** The relay's response to the upgrade of a data connection. */
export type UpgradeResponse =
  | { readonly kind: 'need' }
  | { readonly kind: 'refused'; readonly status: number | undefined }
  /** `rest` already belongs to the data connection. `reuse`: the value of that header. */
  | { readonly kind: 'upgraded'; readonly rest: Buffer; readonly reuse: string | undefined };

const REUSE = new RegExp(`\\r\\n${REUSE_HEADER}:[ \\t]*([^\\r\\n]*?)[ \\t]*(?=\\r\\n)`, 'i');

/** Parses the response from all `bytes` so far. */
export function readUpgradeResponse(bytes: Buffer): UpgradeResponse {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0 && bytes.length <= MAX_BYTES) return { kind: 'need' };
  const [, text] = /^HTTP\/1\.1 (\d{3})[ \r]/.exec(bytes.toString('latin1', 0, MAX_BYTES)) ?? [];
  const status = text === undefined ? undefined : Number(text);
  if (status !== 101 || end < 0 || end > MAX_BYTES) return { kind: 'refused', status };
  const [, reuse] = REUSE.exec(bytes.toString('latin1', 0, end + 2)) ?? [];
  return { kind: 'upgraded', rest: bytes.subarray(end + 4), reuse };
}
