/** Longer values would scroll the beginning of a question away. */
const MAX_CHARS = 80;
/** A hostname has at most 253 characters. A scheme and a port add to them. */
const MAX_HOST_CHARS = 270;

/** Cuts a long text in the middle. */
export function shortText(text: string): string {
  return cut(text, MAX_CHARS);
}

/** Cuts a long URL or target in the middle, but never inside its host: the host decides who gets the data. */
export function shortAddress(text: string): string {
  const host = /^(?:[a-z][a-z0-9+.-]*:\/\/)?[^/?#]*/i.exec(text)?.[0] ?? '';
  return cut(host, MAX_HOST_CHARS) + cut(text.slice(host.length), MAX_CHARS);
}

function cut(text: string, max: number): string {
  const characters = Array.from(text);
  if (characters.length <= max) return text;
  const half = Math.floor((max - 1) / 2);
  return `${characters.slice(0, half).join('')}…${characters.slice(-half).join('')}`;
}
