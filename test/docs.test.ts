import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { visibleChildren } from '../src/cli/completion/grammar.js';
import { grammarOnly } from '../src/cli/grammar/program.js';
import { loadConfig } from '../src/config/load.js';
import { ERRORS } from '../src/lib/error-codes.js';
import { CONTROL_SUBPROTOCOL, DATA_UPGRADE, LIMITS, PATHS } from '../src/protocol/limits.js';
import { AGENT_MESSAGES, RELAY_MESSAGES } from '../src/protocol/messages.js';

/** Tables and commands in documents match the program. */

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const protocol = read('docs/reference/protocol.md');

/** The text below the heading `title`, up to the next heading of any level. */
function section(document: string, title: string): string {
  const lines = document.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === title);
  if (start < 0) throw new Error(`no heading "${title}"`);
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line));
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

/** The rows of the tables in `text`, without header and rule. Cells lose their backquotes. */
function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')));
}

/** The subset of JSON Schema that the messages use. */
interface ObjectSchema {
  readonly properties?: Readonly<Record<string, ObjectSchema>>;
  readonly required?: readonly string[];
  readonly items?: ObjectSchema;
}

/** Every field of a message, nested ones included, and whether it is required. */
function fields({ properties = {}, required = [] }: ObjectSchema, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`;
    const below = schema.items ? fields(schema.items, `${path}[].`) : fields(schema, `${path}.`);
    return [`${path} ${required.includes(name) ? 'yes' : 'no'}`, ...below];
  });
}

describe('docs/reference/protocol.md', () => {
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

  it('quotes every limit with its value', () => {
    const documented = rows(section(protocol, 'Limits')).map(([name, value]) => [name, value]);
    const known = Object.entries(LIMITS).map(([name, value]) => [name, value.toLocaleString('en-US')]);
    expect(documented).toEqual(known);
  });

  it('lists every error code of the wire protocol, and no other', () => {
    const documented = rows(section(protocol, 'Error codes')).map(([code]) => code);
    const known = Object.entries(ERRORS).flatMap(([code, info]) => ('wire' in info ? [code] : []));
    // The code that a relay sends instead of a local one.
    expect(new Set(documented)).toEqual(new Set([...known, 'internal']));
  });

  it('names every path and protocol', () => {
    for (const name of [...Object.values(PATHS), CONTROL_SUBPROTOCOL, DATA_UPGRADE])
      expect(protocol).toContain(name);
  });
});

const markdownIn = (folder: string, recursive: boolean): string[] =>
  readdirSync(join(root, folder), { recursive, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));

/** Every document outside dependencies and builds. */
const documents = [...markdownIn('', false), ...markdownIn('docs', true)];

/** Code blocks, which are not Markdown. */
const withoutCode = (text: string): string => text.replaceAll(/^```[\s\S]*?^```|`[^`\n]*`/gm, '');

/** Text between single backquotes. */
const inlineCode = (text: string): string[] =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!);

const SOURCE = /^(?:[\w.-]+\/)*[\w.-]+\.(?:tsx?|mjs)$/;

const modules = readdirSync(join(root, 'src'));

const sourceNames = new Set(
  ['src', 'test', 'scripts', 'bench', 'chaos', 'web', 'web-relay']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }))
    .map((path) => basename(path)),
);

/** A path from the root or from src/, or the bare name of a file. */
const isSource = (path: string): boolean =>
  existsSync(join(root, path)) ||
  (path.includes('/') ? existsSync(join(root, 'src', path)) : sourceNames.has(path));

/** The text below the heading `title` of level 2, up to the next heading of that level. */
function chapter(document: string, title: string): string {
  const [, text] = document.split(`\n## ${title}\n`, 2);
  if (text === undefined) throw new Error(`no heading "${title}"`);
  return text.split('\n## ')[0]!;
}

/** The items of the lists in `text`, each as one line. */
function listed(text: string): string[] {
  return text
    .split(/^- /m)
    .slice(1)
    .map((item) =>
      item
        .split(/\n(?:\n|#)/)[0]!
        .replaceAll(/\s+/g, ' ')
        .trim(),
    );
}

/** Whether `source` has a test or a group of tests with this title that runs. */
function runs(source: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => {
    const at = source.indexOf(`${quote}${title.replaceAll(quote, `\\${quote}`)}${quote}`);
    return at >= 0 && !/\.(?:skip|todo)\(\s*$/.test(source.slice(0, at));
  });
}

/** The anchor of a heading. */
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

  it('has no broken links', () => {
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
      // `dev` is a script of the reader's project.
      .filter((name) => name !== 'dev' && !scripts[name]);
    if (/\bnpm test\b/.test(text) && !scripts['test']) missing.push('test');
    const paths = [...text.matchAll(/(?<![\w/.~-])(?:src|test|scripts|examples|schema)\/[\w/.-]*\w/g)].map(
      ([path]) => path,
    );
    expect([
      ...missing,
      ...paths.filter((path) => !/[A-Z]{2}/.test(path) && !existsSync(join(root, path))),
    ]).toEqual([]);
  });

  it('names existing source files', () => {
    const named = inlineCode(text).filter(
      (code) => SOURCE.test(code) || (code.endsWith('/') && modules.includes(code.split('/')[0]!)),
    );
    expect(named.filter((path) => !/[A-Z]{2}/.test(path) && !isSource(path))).toEqual([]);
  });
});

describe('docs/explanation/architecture.md', () => {
  it('names existing classes, functions and fields', () => {
    const sources = ['src', 'scripts', 'chaos', 'bin', 'schema'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => /\.(tsx?|m?js|json)$/.test(path))
        .map((path) => join(folder, path)),
    );
    const written = new Set([...sources, 'package.json'].flatMap((path) => read(path).match(/\w+/g) ?? []));
    // Identifiers in mixed case. Other words are options, protocols and other programs.
    const named = inlineCode(read('docs/explanation/architecture.md')).filter((code) =>
      /^(?=.*[a-z])(?=.*[A-Z])[A-Za-z]\w*(\.\w+)?(\(.*\))?$/.test(code),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((code) => !written.has(code.replace(/\(.*/, '').split('.').at(-1)!))).toEqual([]);
  });
});

describe('SECURITY.md', () => {
  const security = read('SECURITY.md');
  const promises = listed(chapter(security, 'Promises'));

  it('has promises and known limits', () => {
    expect(promises.length).toBeGreaterThan(20);
    expect(listed(chapter(security, 'Known limits')).length).toBeGreaterThan(5);
  });

  it.each(promises)('names the tests for a promise: %s', (promise) => {
    const named = promise.split(' - `').slice(1);
    const tests = named.map((item) => /^([\w./-]+\.test\.ts)`((?:,? "[^"]+")*)$/.exec(item) ?? [item]);
    expect(tests.filter(([, file]) => file === undefined)).toEqual([]);
    expect(tests).not.toEqual([]);
    const missing = tests.flatMap(([, file, titles]) => {
      if (!existsSync(join(root, file!))) return [file];
      const source = read(file!);
      return [...titles!.matchAll(/"([^"]+)"/g)]
        .map(([, title]) => title!)
        .filter((title) => !runs(source, title))
        .map((title) => `${file}: ${title}`);
    });
    expect(missing).toEqual([]);
  });
});

/** What a script of the benchmarks prints for the run in the documents. */
const printed = (script: string): string =>
  execFileSync(process.execPath, [`bench/${script}`, 'bench/run.json'], { cwd: root, encoding: 'utf8' });

describe('docs/explanation/performance.md', () => {
  it('has the table of bench/run.json', () => {
    const document = rows(section(read('docs/explanation/performance.md'), 'Figures'));
    expect(document).toEqual(rows(printed('table.mjs')));
  });

  it('shows the chart of bench/run.json', () => {
    expect(read('docs/assets/performance.svg')).toBe(printed('chart.mjs'));
  });
});

describe('README.md', () => {
  const readme = read('README.md');

  it('names existing commands', () => {
    const known = visibleChildren(grammarOnly()).map((command) => command.name());
    const code = [...readme.matchAll(/(?:^|`)(?:npx )?portal ([a-z]+)/gm)].map(([, name]) => name!);
    expect(code.length).toBeGreaterThan(3);
    expect(code.filter((name) => !known.includes(name))).toEqual([]);
  });

  it('fits on a screen and a half', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(120);
  });

  it('names every service of the demo, with its mode', async () => {
    const demo = await loadConfig({ file: 'examples/portal.yaml', cwd: root, env: {}, userName: 'you' });
    const text = section(readme, 'From a checkout');
    const services = demo.ok ? demo.desired.services : [];
    expect(services).toHaveLength(4);
    expect(text).toContain('publishes four services');
    for (const { service, mode } of services)
      expect(text).toMatch(new RegExp(`\`${service}\`[^()]*\\(mode \`${mode}\``));
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
