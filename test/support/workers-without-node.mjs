import { generateIdentity } from '../../dist/modules/identity/keys.js';
import { startWithWorkers } from '../../dist/modules/cli/relay/workers.js';

/** Starts the workers of a relay while the program of Node is missing, as during its upgrade. Prints the error. */

process.execPath = '/nonexistent/node';
const log = { child: () => log, info() {}, debug() {}, warn() {}, error() {} };
const options = {
  domain: 'localhost',
  host: '127.0.0.1',
  port: 0,
  store: 'memory',
  identity: generateIdentity(),
  log,
};
try {
  await startWithWorkers({ argv: ['relay'] }, options, { workers: 2, build: undefined });
} catch (error) {
  process.stdout.write(`${error.message}\n`);
}
