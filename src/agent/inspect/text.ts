/** Bytes and text; the page has these too, so nothing here is of node alone. */

/** The bytes as UTF-8; undefined if they are none, or hold what no text does. The end may be cut anywhere. */
export function textOf(bytes: Uint8Array): string | undefined {
  for (const byte of bytes) {
    if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x0c && byte !== 0x1b)
      return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
}

export function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
