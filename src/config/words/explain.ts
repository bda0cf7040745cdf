import { advice, headersAdvice } from './advice.js';
import { flowYaml } from '../text/flow.js';
import { finding, type Complaint, type Finding } from '../text/finding.js';
import { maskUrl } from '../variables/mask-urls.js';
import { portalSchema, type Schema, type SchemaError } from '../schema/schema.js';
import { isSecret, MASK } from '../variables/secrets.js';
import { sourceText } from '../text/source.js';
import { listOf, nearest } from './suggest.js';
import { child, keyPlaceOf, toPointer, treeAt, type Path, type Tree } from '../text/tree.js';
import { definitionOf, expected, isLikelyService, misplaced, synonymOf } from './words.js';

/**
 * Translates schema errors into messages for people: one finding per mistake. If a value may have several forms,
 * considers only the closest one.
 */
export function explain(errors: readonly SchemaError[], root: Tree): Finding[] {
  const reported = relevant(errors).map((error) => ({ ...error, path: withIndices(root, error.path) }));
  const meant = new Set(reported.flatMap((error) => meantKey(error, root)));
  const fixed = new Set(
    reported.flatMap((error) => (error.keyword === 'const' ? [toPointer(error.path)] : [])),
  );
  // A file with only `web: 3000` lines is one mistake, however many services it has.
  const bare = reported.filter((error) => isBareService(error, root));
  const isBare =
    bare.length > 0 && reported.every((error) => bare.includes(error) || error.keyword === 'required');
  return reported
    .filter((error) => !isBare || error === bare[0])
    .filter((error) => {
      // The message for a fixed value includes its type.
      if (error.keyword === 'type') return !fixed.has(toPointer(error.path)) && !isEmptied(error, meant);
      return error.keyword !== 'required' || !meant.has(toPointer([...error.path, ...extraKey(error)]));
    })
    .map((error) => finding(root, [...error.path, ...extraKey(error)], advised(error, root)));
}

/** A problem with its fix, if the value shows the user's intention. */
function advised(error: SchemaError, root: Tree): Complaint {
  const said = complaint(error, root);
  if (error.keyword === 'additionalProperties' || error.keyword === 'required') return said;
  const hint = isSecret(error.path)
    ? headersAdvice(root, error.path)
    : advice(root, error.path, definitionOf(error.schema), error.schema.type);
  return hint === undefined ? said : { ...said, hint };
}

/** A schema's path has strings for every part. Turns the indices of lists into numbers. */
function withIndices(root: Tree, path: Path): Path {
  let tree: Tree | undefined = root;
  return path.map((part) => {
    const inList = tree?.kind === 'list';
    tree = child(tree, part);
    return inList ? Number(part) : part;
  });
}

/** The key that an unknown key probably means. Reporting it as missing too would repeat the problem. */
function meantKey(error: SchemaError, root: Tree): string[] {
  const { keyword, path, params, schema } = error;
  if (keyword !== 'additionalProperties') return [];
  const key = String(params['additionalProperty']);
  const meant =
    synonymOf(key, path, portalSchema()) ??
    nearest(key, Object.keys(schema.properties ?? {})) ??
    (isBareService(error, root) ? 'services' : undefined);
  return meant === undefined ? [] : [toPointer([...path, meant])];
}

function isBareService({ keyword, path, params }: SchemaError, root: Tree): boolean {
  return (
    keyword === 'additionalProperties' &&
    path.length === 0 &&
    isLikelyService(treeAt(root, [String(params['additionalProperty'])]))
  );
}

/** A mapping without a value whose content follows without indentation. */
function isEmptied({ path, data }: SchemaError, meant: ReadonlySet<string>): boolean {
  return data === null && meant.has(toPointer(path));
}

/** For errors about one key of a mapping, returns that key, which becomes part of the path. */
function extraKey({ keyword, params }: SchemaError): string[] {
  if (keyword === 'additionalProperties') return [String(params['additionalProperty'])];
  if (keyword === 'required') return [String(params['missingProperty'])];
  return [];
}

/**
 * From the errors of a union, those of the branch that matches the value's type, or the union's own error if none
 * does. The branches of our unions differ in type.
 */
function relevant(errors: readonly SchemaError[]): SchemaError[] {
  const unions = new Set(errors.filter(isUnion).map(({ path }) => toPointer(path)));
  const kept = errors.filter(
    (error) =>
      !isUnion(error) && (fitsType(error.data, error.schema.type) || !unions.has(toPointer(error.path))),
  );
  const explained = new Set<string>();
  for (const { path } of kept) addWithAncestors(explained, path);
  // ajv reports an inner union before the outer one.
  for (const error of errors.filter(isUnion)) {
    if (explained.has(toPointer(error.path))) continue;
    kept.push(error);
    addWithAncestors(explained, error.path);
  }
  return kept;
}

function isUnion({ keyword }: SchemaError): boolean {
  return keyword === 'anyOf';
}

function addWithAncestors(pointers: Set<string>, path: Path): void {
  for (let length = path.length; length >= 0; length -= 1) pointers.add(toPointer(path.slice(0, length)));
}

function fitsType(value: unknown, type: string | undefined): boolean {
  switch (type) {
    case undefined:
      return true;
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

function complaint(error: SchemaError, root: Tree): Complaint {
  const { keyword, params, path, schema } = error;
  const what = subject(path);
  switch (keyword) {
    case 'additionalProperties':
      return unknownKey(String(params['additionalProperty']), schema, root, path);
    case 'required':
      return missingKey(String(params['missingProperty']), schema, path);
    case 'type':
    case 'anyOf':
      return wrongType(error, root);
    case 'const':
      return {
        message: `${what} must be ${JSON.stringify(params['allowedValue'])}`,
        hint: `Write \`${String(path.at(-1))}: ${flowYaml(params['allowedValue'])}\`.`,
      };
    case 'enum': {
      const words = (schema.enum ?? []).map(String);
      // A mapping may have its own `toString`.
      const isWord = typeof error.data === 'string' && !isSecret(path);
      const meant = isWord ? nearest(error.data, words) : undefined;
      return { message: `${what} must be ${listOf(words)}`, hint: meant && `Did you mean \`${meant}\`?` };
    }
    case 'minimum':
    case 'maximum':
      return {
        message: `${shown(root, path)} is out of range: ${what} takes ${schema.minimum} to ${schema.maximum}`,
      };
    case 'pattern':
    case 'format':
      return { message: `${shown(root, path)} is not ${expected(schema)}` };
    case 'minLength':
    case 'maxLength': {
      if (error.data === '') return { message: `${what} is empty` };
      const side = keyword === 'minLength' ? 'shorter' : 'longer';
      return { message: `${what} is ${side} than ${String(params['limit'])} characters` };
    }
    case 'minItems':
    case 'minProperties': {
      const least = Number(params['limit']);
      const message = least === 1 ? `${what} is empty` : `${what} needs at least ${least} entries`;
      return { message, hint: exampleOf(schema, path) };
    }
    case 'uniqueItems': {
      const [first, second] = [Number(params['i']) + 1, Number(params['j']) + 1].toSorted((a, b) => a - b);
      return { message: `${what} has the same entry twice: entries ${first} and ${second}` };
    }
    default:
      return { message: `${what} ${error.message}` };
  }
}

function unknownKey(key: string, schema: Schema, root: Tree, path: Path): Complaint {
  const known = Object.keys(schema.properties ?? {});
  const where = path.length === 0 ? '' : ` in ${subject(path)}`;
  const meant = nearest(key, known);
  const elsewhere = misplaced(key, path, root, portalSchema());
  return {
    message: `unknown key ${quoted(key)}${where}`,
    hint: elsewhere ?? (meant ? `Did you mean \`${meant}\`?` : `Known here: ${known.join(', ')}.`),
    place: keyPlaceOf(treeAt(root, path), key),
  };
}

function missingKey(key: string, schema: Schema, path: Path): Complaint {
  const where = path.length === 0 ? '' : ` in ${subject(path)}`;
  if (path.length === 0 && key === 'version')
    return { message: '`version` is missing', hint: 'Add this line at the top of the file: `version: 1`' };
  const example = resolved(schema.properties?.[key])?.examples?.[0];
  const hint = example === undefined ? undefined : `Add it, for example \`${key}: ${flowYaml(example)}\`.`;
  return { message: `\`${key}\` is missing${where}`, hint };
}

function resolved(schema: Schema | undefined): Schema | undefined {
  const name = schema?.$ref?.replace('#/$defs/', '');
  return name === undefined ? schema : portalSchema().$defs?.[name];
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
};

function wrongType({ data, keyword, schema, path }: SchemaError, root: Tree): Complaint {
  const what = subject(path);
  const wanted = keyword === 'anyOf' ? expected(schema) : TYPE_WORDS[schema.type ?? ''];
  if (path.length === 0) {
    return {
      message: data === null ? 'the file is empty' : 'the file is not a mapping',
      // `portal init` replaces no file with content, not even comments.
      hint: `Begin the file with \`version: 1\`${root.place.source.text.trim() === '' ? ', or run `portal init` to create one' : ''}.`,
    };
  }
  if (data === null)
    return { message: `${what} has no value; it takes ${wanted}`, hint: emptyHint(schema, path) };
  if (schema.type === 'string' && (typeof data === 'number' || typeof data === 'boolean')) {
    return { message: `${what} must be text`, hint: 'Put the value in quotes.' };
  }
  const quotedNumber =
    schema.type !== 'string' && typeof data === 'string' && /^(\d+|true|false)$/.test(data);
  return {
    message: `${what} must be ${wanted}`,
    hint: quotedNumber ? 'Remove the quotes.' : exampleOf(schema, path),
  };
}

function emptyHint(schema: Schema, path: Path): string | undefined {
  if (path.length === 1 && path[0] === 'services')
    return 'Add a service, for example `web: 3000`, or write `services: {}`.';
  return exampleOf(schema, path);
}

function exampleOf(schema: Schema, path: Path): string | undefined {
  const key = path.at(-1);
  const example = schema.examples?.[0];
  if (example === undefined) return undefined;
  const text = typeof example === 'string' ? example : flowYaml(example);
  return typeof key === 'string' ? `For example \`${key}: ${text}\`.` : `For example \`${text}\`.`;
}

/** A value as the user typed it, for messages. Never the value of a variable, and never a secret. */
export function shown(root: Tree, path: Path): string {
  const tree = treeAt(root, path);
  if (tree?.kind !== 'scalar') return subject(path);
  if (tree.secret || isSecret(path)) return MASK;
  if (tree.interpolated) return `the value of ${quoted(maskUrl(unquoted(sourceText(tree.place))))}`;
  return typeof tree.value === 'string' ? quoted(maskUrl(tree.value)) : String(tree.value);
}

function unquoted(text: string): string {
  return /^(["']).*\1$/s.test(text) ? text.slice(1, -1) : text;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}

/** The name of the value at a path, for messages. */
export function subject(path: Path): string {
  const [top, name] = path;
  const last = path.at(-1);
  if (last === undefined) return 'the file';
  if (typeof last === 'number') return `entry ${last + 1} of ${subject(path.slice(0, -1))}`;
  if (path.length === 2 && top === 'services') return `service ${quoted(String(name))}`;
  if (path.length === 2 && top === 'chains') return `chain ${quoted(String(name))}`;
  if (path.at(-2) === 'routes') return `route ${quoted(last)}`;
  return `\`${last}\``;
}
