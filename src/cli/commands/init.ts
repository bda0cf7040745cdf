import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PortalError, asPortalError, systemCode } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { guessPort } from '../init/guess-port.js';
import { schemaReference, starterFile, WRITTEN_SCHEMA } from '../init/starter-file.js';
import { printEvent } from '../print.js';

interface Options {
  readonly port?: number;
}

/** What one person keeps to themselves beside a committed portal.yaml. */
const PRIVATE_FILES = ['portal.local.yaml', '.env', '.portal/'];

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const file = join(context.cwd, 'portal.yaml');
  const guess =
    options.port === undefined ? await guessPort(context.cwd) : { port: options.port, because: '--port' };
  const schema = await schemaReference(context.cwd);
  await writeNew(file, starterFile({ ...guess, schema }));
  if (context.json) {
    printEvent(context, 'created', { file, port: guess.port });
    return 0;
  }
  context.stdout.line(file);
  context.stderr.line(`service web on port ${guess.port} (${guess.because}); start it with: portal up`);
  if (schema === WRITTEN_SCHEMA)
    context.stderr.line(`for completion in editors: portal schema > ${WRITTEN_SCHEMA}`);
  context.stderr.line(`keep out of git: ${PRIVATE_FILES.join(', ')}`);
  return 0;
}

async function writeNew(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: 'wx' });
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      throw new PortalError('usage', `${file} is there already`, { hint: 'Edit it, or move it away first.' });
    }
    throw new PortalError('state_unwritable', `${file} cannot be written: ${asPortalError(error).message}`, {
      cause: error,
    });
  }
}
