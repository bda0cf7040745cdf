/**
 * The logger of all modules below the CLI. The CLI decides where lines go; modules never import a logging library and never
 * write to a stream. Fields must not contain secrets: no tickets, signatures, PINs or keys.
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

/** Drops everything. The default without a log. */
export const silent: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silent,
};
