import xterm from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { Region } from './region.js';
import type { Reflow } from './reflow.js';

const WRAPS: Reflow = { wraps: true, movesEmptyRows: false, cursorMs: 1_000 };
const CUTS: Reflow = { wraps: false, movesEmptyRows: false, cursorMs: 1_000 };
const TMUX: Reflow = { wraps: true, movesEmptyRows: true, cursorMs: 1_000 };

/** A terminal with a history, for a region. */
class Screen {
  readonly #terminal: InstanceType<typeof xterm.Terminal>;

  constructor(columns: number, rows: number, { wraps }: Reflow = WRAPS) {
    this.#terminal = new xterm.Terminal({
      cols: columns,
      rows,
      convertEol: true,
      allowProposedApi: true,
      // This one cuts lines.
      ...(!wraps && { windowsPty: { backend: 'conpty', buildNumber: 1 } }),
    });
  }

  get columns(): number {
    return this.#terminal.cols;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  /** The cursor's row, from 0. */
  async row(): Promise<number> {
    await this.#written();
    return this.#terminal.buffer.active.cursorY;
  }

  write(text: string): void {
    this.#terminal.write(text);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#written();
    this.#terminal.resize(columns, rows);
  }

  /** All lines of the history and the screen that are not empty. */
  async shown(): Promise<string[]> {
    await this.#written();
    const { active } = this.#terminal.buffer;
    const lines: string[] = [];
    for (let at = 0; at < active.length; at++) {
      const line = active.getLine(at)!;
      const text = line.translateToString(false, 0, this.columns).trimEnd();
      if (line.isWrapped) lines.push(`${lines.pop()}${text}`);
      else lines.push(text);
    }
    return lines.filter((line) => line !== '');
  }

  #written(): Promise<void> {
    return new Promise((resolve) => this.#terminal.write('', resolve));
  }
}

/** Lines of a region that are as wide as the screen allows, up to 100 columns. */
const table = ({ columns }: { readonly columns: number }, count = 3): string[] => [
  ...Array.from({ length: count }, (_, at) => `row ${at + 1} `.padEnd(Math.min(100, columns - 1), '.')),
  'keys',
];

async function resize(screen: Screen, region: Region, columns: number, rows: number, count = 3) {
  region.hold();
  await screen.resize(columns, rows);
  region.repaint(table(screen, count), await screen.row());
}

it('keeps printed lines above the drawn region, and removes the region at the end', async () => {
  const screen = new Screen(40, 10);
  const region = new Region(screen, WRAPS);
  region.draw(['one', 'two', 'three']);
  expect(await screen.shown()).toEqual(['one', 'two', 'three']);
  region.print('printed');
  expect(await screen.shown()).toEqual(['printed', 'one', 'two', 'three']);
  region.draw(['four']);
  expect(await screen.shown()).toEqual(['printed', 'four']);
  region.close();
  expect(await screen.shown()).toEqual(['printed']);
});

describe.each([
  ['wraps lines again', WRAPS, [80, 120, 50, 120, 50, 80]],
  ['wraps lines again and moves empty rows', TMUX, [80, 120, 50, 120, 50, 80]],
  ['cuts lines', CUTS, [100, 80, 50]],
])('in a terminal that %s', (_, reflow, widths) => {
  it('shows each line once after every change of width', async () => {
    const screen = new Screen(120, 30, reflow);
    const region = new Region(screen, reflow);
    screen.write('$ portal up\n');
    region.draw(table(screen));
    region.print('printed 1');
    for (const [index, columns] of widths.entries()) {
      await resize(screen, region, columns, 30);
      region.print(`printed ${index + 2}`);
      const printed = Array.from({ length: index + 2 }, (__, at) => `printed ${at + 1}`);
      expect(await screen.shown()).toEqual(['$ portal up', ...printed, ...table(screen)]);
    }
    region.close();
    expect((await screen.shown()).at(-1)).toBe(`printed ${widths.length + 1}`);
  });
});

it('replaces a line that was longer than the new one', async () => {
  const screen = new Screen(120, 30);
  const region = new Region(screen, WRAPS);
  region.draw(['x'.repeat(119), 'y'.repeat(119), 'keys']);
  region.print('printed');
  region.draw(['x', 'y', 'keys']);
  region.hold();
  await screen.resize(50, 30);
  region.repaint(['new', 'keys'], await screen.row());
  expect(await screen.shown()).toEqual(['printed', 'new', 'keys']);
});

it('prints lines after a change of size that came during it', async () => {
  const screen = new Screen(40, 10);
  const region = new Region(screen, WRAPS);
  region.draw(['HEAD', 'row']);
  region.hold();
  region.draw(['HEAD', 'drawn at the wrong size']);
  region.print('held');
  await screen.resize(30, 8);
  region.repaint(['HEAD', 'row'], await screen.row());
  expect(await screen.shown()).toEqual(['held', 'HEAD', 'row']);
});

it('erases lines that a lower terminal moved into its history, once it is higher again', async () => {
  const screen = new Screen(80, 20);
  const region = new Region(screen, WRAPS);
  screen.write('$ portal up\n');
  region.draw(table(screen, 15));
  await resize(screen, region, 80, 8, 7);
  region.print('printed');
  await resize(screen, region, 80, 20, 15);
  expect(await screen.shown()).toEqual(['$ portal up', 'printed', ...table(screen, 15)]);
});

it('stays at the bottom if the terminal moves empty rows, and ends without them', async () => {
  const screen = new Screen(80, 20);
  const region = new Region(screen, TMUX);
  screen.write('$ portal up\n');
  region.hold();
  region.repaint(table(screen), await screen.row());
  expect(await screen.row()).toBe(19);
  region.print('printed');
  region.draw(['row', 'keys']);
  expect(await screen.row()).toBe(19);
  region.close();
  expect(await screen.row()).toBe(2);
  expect(await screen.shown()).toEqual(['$ portal up', 'printed']);
});

it('does not need the row of the cursor', async () => {
  const screen = new Screen(120, 30);
  const region = new Region(screen, WRAPS);
  screen.write('$ portal up\n');
  region.draw(table(screen));
  for (const columns of [50, 120]) {
    region.hold();
    await screen.resize(columns, 30);
    region.repaint(table(screen));
  }
  expect(await screen.shown()).toEqual(['$ portal up', ...table(screen)]);
});
