import stringWidth from 'string-width';
import { expect, it } from 'vitest';
import { qrCode } from './actions.js';
import { help, qrOverlay } from './overlays.js';

const SIZES = [
  { columns: 120, rows: 40 },
  { columns: 80, rows: 24 },
  { columns: 50, rows: 20 },
];

it.each(SIZES)('the help explains every key and mark on $columns×$rows', (size) => {
  const lines = help(size);
  expect(lines.length).toBeLessThanOrEqual(size.rows - 3);
  expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThan(size.columns);
  for (const each of ['o ', 'c ', 'q ', 'i ', '✓', '!', '✗', '…', 'target down', 'Ctrl-C  stop'])
    expect(lines.join('\n')).toContain(each);
});

it('shows the size that a QR code needs, and the code again once it fits', async () => {
  const code = await qrCode('https://web.localhost:8443');
  const overlay = qrOverlay(code, 'https://web.localhost:8443');
  const wide = overlay({ columns: 120, rows: 40 });
  expect(wide.slice(0, code.length)).toEqual(code);
  const small = overlay({ columns: 50, rows: 10 });
  expect(small.join(' ')).toMatch(/needs a terminal of \d+ rows\.$/);
  const narrow = overlay({ columns: 20, rows: 40 }).join(' ').replaceAll(/ +/g, ' ');
  expect(narrow).toMatch(/needs a terminal of \d+ rows and \d+ columns\.$/);
  expect(Math.max(...small.map((line) => stringWidth(line)))).toBeLessThan(50);
  expect(overlay({ columns: 120, rows: 40 })).toEqual(wide);
});
