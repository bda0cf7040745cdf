/**
 * The steps that a page gives its reader, for test/docs-commands.test.ts. An HTML comment above a code block says what
 * the block is for. CONTRIBUTING.md lists the comments.
 */
export type Step =
  | { readonly kind: 'run'; readonly line: number; readonly script: string; readonly exit: number }
  | { readonly kind: 'start'; readonly line: number; readonly script: string; readonly until: string }
  | { readonly kind: 'file'; readonly line: number; readonly name: string; readonly text: string }
  | { readonly kind: 'prints'; readonly line: number; readonly lines: readonly string[] }
  | { readonly kind: 'service'; readonly line: number; readonly port: number };

const COMMENT = /^<!-- (run|file|prints|service)(?:: (.+))? -->$/;
const FENCE = /^```\w*$/;

/** Every marked step of a Markdown page, in order. Throws for an unknown comment. */
export function stepsOf(markdown: string): Step[] {
  const lines = markdown.split('\n');
  return lines.flatMap((text, index) => {
    const [, kind, rest] = COMMENT.exec(text) ?? [];
    if (kind === undefined) return [];
    const line = index + 1;
    if (kind === 'service') return [{ kind, line, port: Number(rest) }];
    return [stepOf(kind, rest, line, blockBelow(lines, index))];
  });
}

function stepOf(kind: string, rest: string | undefined, line: number, block: string): Step {
  if (kind === 'prints') return { kind, line, lines: block.split('\n').filter(Boolean) };
  if (kind === 'file' && rest !== undefined) return { kind, line, name: rest, text: block };
  const [, how, what] = /^(exit|until) (.+)$/.exec(rest ?? 'exit 0') ?? [];
  if (kind === 'run' && how === 'until') return { kind: 'start', line, script: block, until: what! };
  if (kind === 'run' && how === 'exit') return { kind, line, script: block, exit: Number(what) };
  throw new Error(`line ${line}: "${kind}: ${rest}" is not a step; CONTRIBUTING.md lists them`);
}

/** The text of the code block that begins on the next non-empty line. */
function blockBelow(lines: readonly string[], comment: number): string {
  const start = lines.findIndex((line, index) => index > comment && line !== '');
  const end = lines.findIndex((line, index) => index > start && line === '```');
  if (start < 0 || end < 0 || !FENCE.test(lines[start]!))
    throw new Error(`line ${comment + 1}: a block of code must follow the comment`);
  return `${lines.slice(start + 1, end).join('\n')}\n`;
}

/** Whether `output` has each of `lines`, in any order. `…` matches any text within a line. */
export function missingLines(output: string, lines: readonly string[]): string[] {
  return lines.filter((line) => !patternOf(line).test(output));
}

function patternOf(line: string): RegExp {
  const parts = line
    .trim()
    .split(/(\s+|…)/)
    .map((part) => (part === '…' ? '.*' : /^\s+$/.test(part) ? '\\s+' : escaped(part)));
  return new RegExp(parts.join(''));
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
