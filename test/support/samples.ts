/** Samples by name and labels, as `name{label="value"}`. Throws on a malformed line. */
export function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-zA-Z_:][\w:]* \S/.test(line)) continue;
    const [, series, value] =
      /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})?) (\S+)$/.exec(line) ?? [];
    if (series === undefined) throw new Error(`not a line of the exposition format: ${line}`);
    found.set(series, Number(value));
  }
  return found;
}
