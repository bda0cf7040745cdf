/** What keys of the live view do, each loaded when it is first used. */

/** Opens `url` in the browser of this machine. */
export async function openUrl(url: string): Promise<void> {
  const { default: open } = await import('open');
  const child = await open(url);
  child.on('error', () => undefined);
}

/** Asks the terminal to put `text` on its clipboard (OSC 52): that works over SSH as well, where the terminal allows it. */
export function clipboardSequence(text: string): string {
  return `\u001B]52;c;${Buffer.from(text).toString('base64')}\u0007`;
}

/** A QR code in lines of half blocks. */
export async function qrCode(text: string): Promise<string[]> {
  const { renderUnicodeCompact } = await import('uqr');
  return renderUnicodeCompact(text, { border: 2 }).split('\n');
}
