import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from './support/folder.js';

const VITEST = 'node_modules/vitest/vitest.mjs';

function run(...args: string[]): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, (error, stdout) => resolve({ code: Number(error?.code ?? 0), stdout }));
  });
}

it('the gate repeats a failed test that starts programs once', ({ task }) => {
  expect(task.file.projectName).toBe('slow');
  expect(task.retry ?? 0).toBe(process.env['CI'] ? 1 : 0);
});

it(
  'the gate lists the tests that failed or passed only at their second attempt, and counts each test once',
  { timeout: 240_000 },
  async () => {
    const folder = await temporaryFolder();
    const report = join(folder, 'report.json');
    await mkdir(join(folder, 'test'));
    await writeFile(
      join(folder, 'test/some.test.js'),
      `let [attempts, prepared, open] = [0, 0, 0];
    beforeEach(() => { prepared++; });
    afterEach(() => { prepared--; });
    describe('a group', () => {
      test('fails once', () => {
        onTestFinished(() => { open--; });
        expect([++open, prepared]).toEqual([1, 1]);
        if (++attempts === 1) throw new Error('the first attempt\\nfails');
      });
    });
    test('passes', () => undefined);
    test('always fails', () => { throw new Error('no attempt passes'); });
    test.skip('is skipped', () => undefined);`,
    );
    const told = ['--globals', '--retry=1', '--reporter=json', `--outputFile.json=${report}`];
    await run(VITEST, 'run', '--root', folder, ...told);
    expect(await run('.ci/summary.mjs', report)).toEqual({
      code: 1,
      stdout: `flaky: test/some.test.js > a group > fails once: Error: the first attempt
failed: test/some.test.js > always fails: Error: no attempt passes
2 passed, 1 failed, 1 skipped
`,
    });
  },
);
