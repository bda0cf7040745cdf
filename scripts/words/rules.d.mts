export const RULES: { pattern: RegExp; say: string; wrong: string; right: string }[];
