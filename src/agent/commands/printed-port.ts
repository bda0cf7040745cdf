const LOCAL_URL = /\bhttps?:\/\/(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})(?![\d.])/i;
const PORT = /\blisten\w*\b.*?(?:\bport |:)(\d{2,5})(?![\d.])/i;

/** The port on which a server says that it listens. Undefined for another line. */
export function printedPort(line: string): number | undefined {
  const port = LOCAL_URL.exec(line)?.[1] ?? PORT.exec(line)?.[1];
  return port === undefined ? undefined : Number(port);
}
