/** Code shared by the load clients. */

export const options = JSON.parse(process.argv[2]);

export const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** The benchmark exited, or asks this process to exit. */
process.stdin
  .resume()
  .on('end', () => process.exit(0))
  .on('error', () => process.exit(0));

/** CPU seconds of this process. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
