import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { foreignProgram, type ForeignProgram } from '../../../config/words/foreign.js';
import { parse } from '../../../config/text/parse.js';
import { Source } from '../../../config/text/source.js';
import { toValue } from '../../../config/text/tree.js';
import { cannotRead, PortalError, systemCode, unreadableHint } from '../../../lib/errors.js';
import { fieldsOf, type Fields } from './draft.js';

/**
 * Reads a configuration of another program, and detects the program. The file name decides between YAML, JSON and
 * TOML. `isToml`: it is TOML under a name of another format, so `fields` is empty.
 */
export async function readForeign(
  cwd: string,
  file: string,
): Promise<{ program: ForeignProgram; fields: Fields; isToml: boolean }> {
  const text = await readText(resolve(cwd, file), file);
  if (/^\s*\[common\]/m.test(text))
    throw new PortalError('usage', `${file} is in the INI format of old frp versions`, {
      hint: 'Convert it to frpc.toml first.',
    });
  const { tree, broken, findings } = parse(
    new Source(file, file.endsWith('.toml') ? await toYaml(text, file) : text),
  );
  if (broken)
    throw new PortalError('usage', `${file} cannot be read: ${findings[0]?.message ?? 'it is malformed'}`, {
      hint: 'Name a valid YAML or TOML file.',
    });
  const found = foreignProgram(tree);
  if (!found)
    throw new PortalError(
      'usage',
      `${file} is not a configuration of ngrok, cloudflared, Docker Compose or frp`,
      {
        hint: 'Write portal.yaml with `portal init`, without --from.',
      },
    );
  return { program: found.program, fields: fieldsOf(toValue(tree)), isToml: tree.kind === 'scalar' };
}

/** JSON is valid YAML, so a converted file has the same limits as other files. */
async function toYaml(text: string, file: string): Promise<string> {
  const { parse: parseToml, TomlError } = await import('smol-toml');
  try {
    return JSON.stringify(parseToml(text));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new PortalError('usage', `${file} is not valid TOML, at line ${error.line}`, {
      hint: 'Fix the file, or name another.',
    });
  }
}

async function readText(path: string, shown: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const isFolder = systemCode(error) === 'EISDIR';
    throw new PortalError('usage', cannotRead(shown, error), {
      cause: error,
      hint:
        unreadableHint(error) ??
        (isFolder ? 'Name the file in this folder.' : 'Check the path after --from.'),
    });
  }
}
