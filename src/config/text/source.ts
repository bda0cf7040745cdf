/** One configuration text, with a search for lines. */
export class Source {
  /** For display: the path as given or found, `<stdin>`, `.env`. */
  readonly file: string;
  readonly text: string;
  /** Absolute folder from which relative paths start. Undefined: the folder of the configuration. */
  readonly folder: string | undefined;
  #lineStarts: number[] | undefined;

  constructor(file: string, text: string, folder?: string) {
    this.file = file;
    this.folder = folder;
    // A lone CR is a line break in YAML, but not in the YAML library. The replacement changes no offsets.
    this.text = text.replace(/\r(?!\n)/g, '\n');
  }

  /** Line and column of an offset in UTF-16 units, both 1-based. Offsets beyond the end give the end. */
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

  /** Offset of the first character of each line. */
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

/** A range of a source: from `start` up to, but not including, `end`. */
export interface Place {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

/** The text at a place, as typed. */
export function sourceText(place: Place): string {
  return place.source.text.slice(place.start, place.end);
}

/** Where a place is, for a message about another place in `beside`. */
export function lineOf({ source, start }: Place, beside: Source): string {
  const { line } = source.position(start);
  return source === beside ? `line ${line}` : `line ${line} of ${source.file}`;
}
