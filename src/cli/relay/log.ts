import { pino } from 'pino';
import type { Logger } from '../../lib/logger.js';
import { timeText } from '../text/amounts.js';
import { logLines } from '../logs/log-text.js';
import type { Context } from '../context.js';
import { createStyle, type Style } from '../text/style.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Logs to stderr: text on a terminal, JSON lines elsewhere and with `--json`. */
export function relayLogger({ stderr, json }: Pick<Context, 'stderr' | 'json'>, level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const style = createStyle(stderr.color);
  const write =
    stderr.isTTY && !json
      ? (line: string) => stderr.line(textOf(line, style))
      : (line: string) => stderr.write(line);
  const logger: Logger = pino(options, { write });
  return logger;
}

/** A JSON line of pino as text for people. */
function textOf(json: string, style: Style): string {
  const { time, level, msg, err, ...fields } = JSON.parse(json) as Line;
  const [first = '', ...more] = logLines(
    { level, message: msg, fields: { ...fields, ...(err && { err: err.message }) } },
    { style, isVerbose: true },
  );
  const stack = level === 'error' ? (err?.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)) : [];
  return [`${style.dim(timeText(Date.parse(time), Date.now()))} ${first}`, ...more, ...stack].join('\n');
}

interface Line {
  readonly time: string;
  readonly level: LogLevel;
  readonly msg: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
}

/** Warnings from before the relay listens. Where `isHeld`, they wait for `release`, so that the URL comes first. */
export function heldWarnings(
  log: Pick<Logger, 'warn'>,
  isHeld: boolean,
): Pick<Logger, 'warn'> & { release: () => void } {
  const held: Parameters<Logger['warn']>[] = [];
  return {
    warn: (...line) => void (isHeld ? held.push(line) : log.warn(...line)),
    release: () => held.splice(0).forEach((line) => log.warn(...line)),
  };
}
