import { pino } from 'pino';
import type { Logger } from '../lib/logger.js';
import type { Output } from './output.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Logs to stderr: text on a terminal, JSON lines elsewhere. */
export async function relayLogger(stderr: Output, level: LogLevel): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const format = stderr.isTTY ? await prettyFormat(stderr.color) : (line: string): string => line;
  const logger: Logger = pino(options, { write: (line) => stderr.write(format(line)) });
  return logger;
}

async function prettyFormat(color: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize: color, translateTime: 'SYS:HH:MM:ss', singleLine: true });
  return (line) => pretty(line) ?? '';
}
