import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** V8's compilers in a process that runs for long (`cli/compilers.ts`). */

const MODULE = new URL('../../dist/modules/cli/compilers.js', import.meta.url).href;

/** Whether V8 optimizes a function that runs often: in a new process, and after a while of that. */
async function optimizes(...flags: string[]): Promise<unknown> {
  const program = `
    const { compileUnderLoad } = await import(${JSON.stringify(MODULE)});
    compileUnderLoad();
    const isOptimized = (hot) => {
      for (let index = 0; index < 500; index++) hot(10_000);
      // V8's OptimizationStatus::kOptimized.
      return (%GetOptimizationStatus(hot) & (1 << 4)) !== 0;
    };
    const create = () => Function('count', 'let sum = 0; for (let i = 0; i < count; i++) sum = (sum * 31 + i) | 0; return sum;');
    const first = isOptimized(create());
    const giveUpAt = performance.now() + 30_000;
    const later = create();
    const look = () => {
      const isLater = isOptimized(later);
      if (!isLater && performance.now() < giveUpAt) setTimeout(look, 1);
      else console.log(JSON.stringify({ first, later: isLater }));
    };
    look();
  `;
  const args = ['--allow-natives-syntax', ...flags, '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

it('are off at first, and on under load', async () => {
  expect(await optimizes()).toEqual({ first: false, later: true });
});

it('stay as the user chose them', async () => {
  expect(await optimizes('--turbofan')).toEqual({ first: true, later: true });
});

it('stay on if V8 accepts no flags after its start', async () => {
  expect(await optimizes('--freeze-flags-after-init')).toEqual({ first: true, later: true });
});
