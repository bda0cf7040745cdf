import { onTestFinished } from 'vitest';

/** The errors that nothing catches during this test. Each would end the process of an agent or a relay. */
export function uncaught(): unknown[] {
  const found: unknown[] = [];
  const note = (error: unknown): void => void found.push(error instanceof Error ? error.stack : error);
  process.on('uncaughtException', note).on('unhandledRejection', note);
  onTestFinished(() => void process.off('uncaughtException', note).off('unhandledRejection', note));
  return found;
}
