export function longSentences(markdown: string): { line: number; words: number }[];
