import { lstat, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { PortalError, asPortalError, systemCode } from '../../lib/errors.js';
import { isListening } from '../../net/listen/listeners.js';
import { parseTarget } from '../../net/target/target.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { copySchema, editorSchema } from '../init/editor-schema.js';
import { guessPort } from '../init/guess-port.js';
import { starterFile } from '../init/starter-file.js';
import { printEvent } from '../print.js';

interface Options {
  readonly port?: number;
  /** The configuration file of another program. */
  readonly from?: string;
}

/** Personal files that do not belong in git, next to a committed portal.yaml. */
const PRIVATE_FILES = ['portal.local.yaml', '.env', '.portal/'];

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const file = join(context.cwd, 'portal.yaml');
  if (options.from !== undefined) return convertFile(context, options.from, file);
  const guess =
    options.port === undefined ? await guessPort(context.cwd) : { port: options.port, because: '--port' };
  const { reference, copy } = await editorSchema(context.cwd);
  await writeNew(file, starterFile({ ...guess, schema: reference }));
  await writeSchema(copy);
  if (context.json) {
    printEvent(context, 'created', { file, port: guess.port, ...(copy !== undefined && { schema: copy }) });
    return 0;
  }
  context.stdout.data(file);
  const listens = await isListening(parseTarget(guess.port), 'tcp');
  context.stderr.note(
    `service web forwards to port ${guess.port} (${guess.because})${listens ? ', where a server listens. Publish it' : '. Start your server there, then publish it'}: portal up`,
  );
  tellSchema(context, copy);
  context.stderr.note(
    `If you use git, add to .gitignore: ${PRIVATE_FILES.join(' ')} (Portal or you may create them later)`,
  );
  return 0;
}

/** Converts another program's configuration, and prints the settings that it could not convert. */
async function convertFile(context: Context, from: string, file: string): Promise<ExitCode> {
  const { readForeign } = await import('../init/from/read.js');
  const { convert, draftText, makeValid } = await import('../init/from/convert.js');
  const { program, fields, isToml } = await readForeign(context.cwd, from);
  if (resolve(context.cwd, from) === file) {
    const { conversionHint } = await import('../../config/words/foreign.js');
    throw new PortalError('usage', `${from} is the file that this command writes`, {
      hint: conversionHint({ kind: 'file', path: file, shown: from }, program, isToml),
    });
  }
  const draft = convert(program, fields);
  await makeValid(draft);
  if (draft.services.size === 0) {
    throw new PortalError('usage', `${from} has no service that Portal can publish`, {
      hint: draft.notes[0] ?? 'Write portal.yaml with `portal init`, without --from.',
    });
  }
  const { reference, copy } = await editorSchema(context.cwd);
  await writeNew(file, draftText(draft, { program, file: from, schema: reference }));
  await writeSchema(copy);
  const services = [...draft.services.keys()];
  if (context.json) {
    const schema = copy === undefined ? {} : { schema: copy };
    printEvent(context, 'created', { file, from, services, notes: draft.notes, ...schema });
    return 0;
  }
  context.stdout.data(file);
  for (const note of draft.notes) context.stderr.line(note);
  context.stderr.line(
    `${services.length === 1 ? '1 service' : `${services.length} services`}: ${services.join(', ')}`,
  );
  context.stderr.line('To publish on your own relay, add `relays: { urls: [https://RELAY] }`.');
  context.stderr.line('Check it with `portal validate`, then start it with `portal up`.');
  tellSchema(context, copy);
  return 0;
}

async function writeSchema(copy: string | undefined): Promise<void> {
  if (copy === undefined) return;
  await copySchema(copy).catch((error: unknown) => {
    throw unwritable(copy, error);
  });
}

function tellSchema(context: Context, copy: string | undefined): void {
  if (copy === undefined) return;
  context.stderr.note(
    `Editors check portal.yaml with ${basename(copy)} next to it. Commit both. After an update of Portal, renew it: portal schema > ${basename(copy)}`,
  );
}

async function writeNew(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: (await isEmptyFile(file)) ? 'w' : 'wx' });
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      throw new PortalError('usage', `${file} already exists`, { hint: 'Edit it, or move it away first.' });
    }
    // A full disk leaves the beginning of the file.
    await rm(file, { force: true });
    throw unwritable(file, error);
  }
}

const MAX_EMPTY_BYTES = 4_096;

/** Whether it is a file of nothing but white space, for example from `touch`. */
async function isEmptyFile(file: string): Promise<boolean> {
  try {
    const stats = await lstat(file);
    return stats.isFile() && stats.size <= MAX_EMPTY_BYTES && (await readFile(file, 'utf8')).trim() === '';
  } catch {
    return false;
  }
}

const unwritable = (file: string, cause: unknown): PortalError =>
  new PortalError('state_unwritable', `cannot write ${file}: ${asPortalError(cause).message}`, {
    cause,
    hint: 'Check the permissions and the free space of this folder.',
  });
