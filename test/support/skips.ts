import type { Reporter, TestCase } from 'vitest/node';

/** Prints each skipped test with its reason, at the end of the run. */
export default class Skips implements Reporter {
  readonly #lines: string[] = [];

  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    if (result.state !== 'skipped') return;
    this.#lines.push(`skipped: ${test.fullName}: ${result.note ?? 'no reason given'}`);
  }

  onTestRunEnd(): void {
    for (const line of this.#lines) process.stdout.write(`${line}\n`);
  }
}
