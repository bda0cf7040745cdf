import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest, mostly waiting: one that starts last leaves the other cores idle until it ends. */
const LONGEST = [
  'chaos',
  'images',
  'cli-agent',
  'inspect-browser',
  'two-addresses',
  'doctor',
  'cli',
  'agents-browser',
  'trust',
  'udp-netem',
  'fuzz',
].map((name) => new RegExp(`/${name}\\.test\\.ts$`));

/** Starts the longest files first. On a fresh clone vitest knows no durations. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const usual = super.sort.bind(this);
    return (await usual(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const found = LONGEST.findIndex((pattern) => pattern.test(moduleId));
  return found < 0 ? LONGEST.length : found;
}
