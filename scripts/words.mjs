/**
 * Finds home-made words where the field has a term: `npm run words [-- PATH…]`. Reads every text file that git tracks, or
 * those below the given paths, and prints FILE:LINE, the words and what to say instead. Exits with 1 if it found any.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RULES } from './words/rules.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const TEXT = /\.(md|ts|tsx|mjs|js|json|ya?ml|html|css|svg|sh|service|socket)$|(^|\/)Dockerfile$/;
/** The rules themselves, and texts by others. */
const NOT_OURS = /^(scripts\/words\/|test\/words\.test\.ts$|package-lock\.json$|LICENSE$)/;

const paths = process.argv.slice(2);
const files = execFileSync('git', ['ls-files', '-z', '--', ...paths], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((file) => TEXT.test(file) && !NOT_OURS.test(file));

/** One a line. */
const phrases = [];
for (const file of files) {
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
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
