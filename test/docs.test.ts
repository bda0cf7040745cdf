import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { visibleChildren } from '../src/cli/completion/grammar.js';
import { grammarOnly } from '../src/cli/program.js';
import { loadConfig } from '../src/config/load.js';
import { ERRORS } from '../src/lib/errors.js';
import { CONTROL_SUBPROTOCOL, DATA_UPGRADE, LIMITS, PATHS } from '../src/protocol/limits.js';
import { AGENT_MESSAGES, RELAY_MESSAGES } from '../src/protocol/messages.js';

/** What a document says in tables and commands is what the program does. */

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const protocol = read('docs/protocol.md');

/** The text below the heading `title`, up to the next heading of any level. */
function section(document: string, title: string): string {
  const lines = document.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === title);
  if (start < 0) throw new Error(`there is no heading "${title}"`);
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line));
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

/** The rows of the tables in `text`, header and rule left out, cells without the quotes of code. */
function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')));
}

/** As much of a JSON schema as the messages use. */
interface ObjectSchema {
  readonly properties?: Readonly<Record<string, ObjectSchema>>;
  readonly required?: readonly string[];
  readonly items?: ObjectSchema;
}

/** Every field of a message and whether it is required, objects and lists of objects below it included. */
function fields({ properties = {}, required = [] }: ObjectSchema, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`;
    const below = schema.items ? fields(schema.items, `${path}[].`) : fields(schema, `${path}.`);
    return [`${path} ${required.includes(name) ? 'yes' : 'no'}`, ...below];
  });
}

describe('docs/protocol.md', () => {
  it.each(Object.entries({ ...AGENT_MESSAGES, ...RELAY_MESSAGES }))(
    'lists every field of %s',
    (type, schema) => {
      const documented = rows(section(protocol, `\`${type}\``)).map(
        ([field, required]) => `${field} ${required}`,
      );
      const known = fields(schema as ObjectSchema).filter((field) => field !== 'type yes');
      expect(new Set(documented)).toEqual(new Set(known));
    },
  );

  it('lists no other message', () => {
    const headings = [...protocol.matchAll(/^#### `(.+)`$/gm)].map(([, type]) => type);
    expect(headings).toEqual([...Object.keys(AGENT_MESSAGES), ...Object.keys(RELAY_MESSAGES)]);
  });

  it('quotes every bound with its value', () => {
    const documented = rows(section(protocol, 'Bounds')).map(([name, value]) => [name, value]);
    const known = Object.entries(LIMITS).map(([name, value]) => [name, value.toLocaleString('en-US')]);
    expect(documented).toEqual(known);
  });

  it('lists every error code that travels, and no other', () => {
    const documented = rows(section(protocol, 'Error codes')).map(([code]) => code);
    const known = Object.entries(ERRORS).flatMap(([code, info]) => ('wire' in info ? [code] : []));
    // What a relay says instead of a code that does not travel.
    expect(new Set(documented)).toEqual(new Set([...known, 'internal']));
  });

  it('names every path and protocol', () => {
    for (const name of [...Object.values(PATHS), CONTROL_SUBPROTOCOL, DATA_UPGRADE])
      expect(protocol).toContain(name);
  });
});

const markdownIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));

/** Every document that is not in a dependency or a build. */
const documents = ['', 'docs'].flatMap(markdownIn);

/** Text that is shown as it is, not read as Markdown. */
const withoutCode = (text: string): string => text.replaceAll(/^```[\s\S]*?^```|`[^`\n]*`/gm, '');

/** What a heading is linked by. */
function anchors(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(documents)('%s', (document) => {
  const text = read(document);

  it('links to what is there', () => {
    const broken = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target!)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path, anchor] = target.split('#', 2);
        const file = path ? resolve(root, dirname(document), path) : join(root, document);
        if (!existsSync(file)) return true;
        return anchor !== undefined && !anchors(read(relative(root, file))).includes(anchor);
      });
    expect(broken).toEqual([]);
  });

  it('names npm scripts and files of the repository that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const missing = [...text.matchAll(/\bnpm run ([\w:-]+)/g)]
      .map(([, name]) => name!)
      .filter((name) => !scripts[name]);
    if (/\bnpm test\b/.test(text) && !scripts['test']) missing.push('test');
    const paths = [...text.matchAll(/(?<![\w/.~-])(?:src|test|scripts|examples|schema)\/[\w/.-]*\w/g)].map(
      ([path]) => path,
    );
    expect([
      ...missing,
      ...paths.filter((path) => !/[A-Z]{2}/.test(path) && !existsSync(join(root, path))),
    ]).toEqual([]);
  });
});

describe('README.md', () => {
  const readme = read('README.md');

  it('names every command, and no other', () => {
    const known = visibleChildren(grammarOnly()).map((command) => command.name());
    const table = rows(section(readme, 'Commands')).flatMap(([cell]) => [...cell!.matchAll(/portal (\w+)/g)]);
    expect(new Set(table.map(([, name]) => name))).toEqual(new Set(known));
    const code = [...readme.matchAll(/`(?:npx )?portal ([a-z]+)/g)].map(([, name]) => name!);
    expect(code.filter((name) => !known.includes(name))).toEqual([]);
  });

  it('shows configurations that load', async () => {
    const files = [...readme.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text]) => text!);
    expect(files.length).toBeGreaterThan(0);
    for (const text of files) {
      const stdin = async (): Promise<string> => text;
      const result = await loadConfig({ file: '-', cwd: root, env: {}, stdin, userName: 'you' });
      expect(result.ok ? [] : result.problems).toEqual([]);
    }
  });
});
