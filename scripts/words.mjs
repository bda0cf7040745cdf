/**
 * Finds phrases that read as translated, and long sentences in documents: `npm run words [-- PATH…]`. Reads every text
 * file that git tracks, or those below the given paths. Prints FILE:LINE, the phrase and the replacement. Exits with 1
 * if it finds any.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RULES } from './words/rules.mjs';
import { longSentences } from './words/sentences.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const TEXT = /\.(md|ts|tsx|mjs|js|json|ya?ml|html|css|svg|sh|service|socket)$|(^|\/)Dockerfile$/;
/** The rules, and texts by other authors. */
const NOT_OURS = /^(scripts\/words\/|test\/words\.test\.ts$|package-lock\.json$|LICENSE$)/;

const paths = process.argv.slice(2);
const files = execFileSync('git', ['ls-files', '-z', '--', ...paths], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((file) => TEXT.test(file) && !NOT_OURS.test(file));

/** One per line. */
const phrases = [];
for (const file of files) {
  const text = readFileSync(join(root, file), 'utf8');
  if (file.endsWith('.md'))
    for (const { line, words } of longSentences(text))
      phrases.push(`${file}:${line}: a sentence of ${words} words: split it, or write a list\n`);
  for (const [index, line] of text.split('\n').entries()) {
    for (const { pattern, say } of RULES) {
      const match = pattern.exec(line);
      if (match === null) continue;
      phrases.push(`${file}:${index + 1}: "${match[0].trim()}": say ${say}\n`);
    }
  }
}
process.stdout.write(phrases.join(''));
if (phrases.length > 0) {
  process.stderr.write(`phrases to rewrite: ${phrases.length}\n`);
  process.exitCode = 1;
}
