/** Where JSON is nested deeper than `max` levels, 1-based; undefined if it is not. The text may be invalid. */
export function tooDeepAt(json: string, max: number): { line: number; column: number } | undefined {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < json.length; at += 1) {
    const mark = json[at];
    if (mark === '"') isText = !isText;
    else if (isText) at += mark === '\\' ? 1 : 0;
    else if (mark === ']' || mark === '}') depth -= 1;
    else if ((mark === '[' || mark === '{') && ++depth > max) return placeOf(json, at);
  }
  return undefined;
}

function placeOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
