/**
 * What rooms below the CLI log through. The CLI decides where it goes (pino, the agent's ring of recent
 * lines, nothing); rooms never import a logging library and never write to a stream.
 * Fields must not hold secrets: no tickets, signatures, PINs or keys, ever.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `fields` to every line. */
  child(fields: object): Logger;
}

const nothing = (): void => undefined;

/** Drops everything: the default where no one asked for a log. */
export const silent: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silent,
};
