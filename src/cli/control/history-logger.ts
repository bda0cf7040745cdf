import type { Logger } from '../../lib/logger.js';
import type { History, LogEntry } from './history.js';

/** A logger that keeps its lines for `portal logs`, except debug lines, which are too many. */
export function historyLogger(history: History, context: Readonly<Record<string, unknown>> = {}): Logger {
  const write =
    (level: LogEntry['level']) =>
    (fields: object, message: string): void =>
      history.add({
        time: new Date().toISOString(),
        event: 'log',
        level,
        message,
        fields: plainFields({ ...context, ...fields }),
      });
  return {
    debug: () => undefined,
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => historyLogger(history, { ...context, ...fields }),
  };
}

/** Replaces errors by their messages: JSON would turn an error into {}. */
function plainFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : value]),
  );
}
