/** One text that configuration is read from, and how to find lines in it. */
export class Source {
  /** As the person should see it: the path as given or found, `<stdin>`, `.env`. */
  readonly file: string;
  readonly text: string;
  #lineStarts: number[] | undefined;

  constructor(file: string, text: string) {
    this.file = file;
    // A lone CR is a line break in YAML, though not to the YAML library; no offset moves.
    this.text = text.replace(/\r(?!\n)/g, '\n');
  }

  /** Line and column, both 1-based, of an offset in UTF-16 units. Offsets past the end mean the end. */
  position(offset: number): { line: number; column: number } {
    const starts = this.lineStarts;
    const at = Math.min(Math.max(offset, 0), this.text.length);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: at - starts[low]! + 1 };
  }

  /** Offset of each line's first character. */
  get lineStarts(): readonly number[] {
    this.#lineStarts ??= lineStartsOf(this.text);
    return this.#lineStarts;
  }
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** A stretch of a source: from `start` up to, not including, `end`. */
export interface Place {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

/** What stands at a place, as it was typed. */
export function sourceText(place: Place): string {
  return place.source.text.slice(place.start, place.end);
}
