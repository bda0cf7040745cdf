import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The package's types in one file: the declarations of src/library/api.ts, and those that they refer to in other modules. So events
 * and settings have one source. Relies on oxfmt: a declaration starts in the first column.
 */

const ENTRY = 'src/library/api.ts';
const START = /^(?:\/\*\*|\/\*|import |export |interface |type |declare |const |function |class |async )/;
const NAME = /^(?:export )?(?:declare )?(?:interface|type|class|function) (\w+)/m;
const IMPORT = /^import (?:type )?\{([^}]*)\} from '([^']+)'/;
/** Its type is made of a table of values. */
const ERROR_CODES = 'src/lib/error-codes.ts';

/** The declarations of the interface itself, with their comments, by name. */
export const publicDeclarations = (root) => read(root, ENTRY).declarations;

export function libraryTypes(root) {
  const modules = new Map();
  const module = (path) => modules.get(path) ?? modules.set(path, read(root, path)).get(path);
  const entry = module(ENTRY);
  const taken = new Map();
  const texts = [];
  const take = (path, name) => {
    const { declarations, imports } = module(path);
    // A module that only re-exports it.
    if (!declarations.has(name) && imports.has(name)) return take(imports.get(name), name);
    if (taken.get(name) === path) return;
    if (taken.has(name)) throw new Error(`two types ${name}: in ${taken.get(name)} and ${path}`);
    taken.set(name, path);
    const text = declarations.get(name);
    if (text === undefined) throw new Error(`${path} has no type ${name}`);
    const isPublic = path === ENTRY || entry.reexported.has(name);
    texts.push(isPublic ? text : text.replace(/^export /m, ''));
    for (const word of new Set(withoutComments(text).match(/\b[A-Z]\w*/g))) {
      if (word === name) continue;
      if (declarations.has(word)) take(path, word);
      else if (imports.has(word)) take(imports.get(word), word);
    }
  };
  for (const name of entry.declarations.keys()) take(ENTRY, name);
  return `/* Types of portal-up. docs/guides/library.md explains them. */\n\n${texts.join('\n\n')}\n\nexport {};\n`;
}

function read(root, path) {
  const source = readFileSync(join(root, path), 'utf8');
  const declarations = new Map();
  const imports = new Map();
  const reexported = new Set();
  for (const chunk of chunksOf(source)) {
    const [, names, from] = IMPORT.exec(chunk) ?? [];
    if (from?.startsWith('.'))
      for (const name of namesOf(names)) imports.set(name, join(dirname(path), from).replace(/\.js$/, '.ts'));
    const [, listed] = /^export type \{([^}]*)\};/.exec(chunk) ?? [];
    if (listed !== undefined) for (const name of namesOf(listed)) reexported.add(name);
    const [, name] = NAME.exec(withoutComments(chunk)) ?? [];
    if (name === undefined) continue;
    // Several chunks: overloads of a function.
    const before = declarations.get(name);
    declarations.set(name, before === undefined ? chunk : `${before}\n${chunk}`);
  }
  if (path === ERROR_CODES) declarations.set('ErrorCode', errorCodes(source));
  return { declarations, imports, reexported };
}

/** The declarations of a source, each with its comment. */
function chunksOf(source) {
  const chunks = [];
  let isComment = false;
  for (const line of source.split('\n')) {
    if (START.test(line) && !isComment) chunks.push([]);
    chunks.at(-1)?.push(line);
    if (START.test(line)) isComment = line.startsWith('/*');
    // A comment with an empty line after it is about the file.
    else if (isComment && line === '') isComment = false;
  }
  return chunks.map((lines) => lines.join('\n').trim());
}

const namesOf = (list) =>
  list
    .split(',')
    .map((name) => name.trim().replace(/^type /, ''))
    .filter(Boolean);

const withoutComments = (text) => text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '').trimStart();

function errorCodes(source) {
  const codes = [...source.matchAll(/^ {2}(\w+): \{$/gm)].map(([, code]) => `'${code}'`);
  return `/** The code of an error (docs/reference/errors.md). */\nexport type ErrorCode =\n  | ${codes.join('\n  | ')};`;
}
