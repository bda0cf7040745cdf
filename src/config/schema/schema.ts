import { readFileSync } from 'node:fs';
import { validators, type ValidationError, type Validator } from 'validators:config';
import { packageFile } from '../../lib/package-file.js';
import type { PortalConfig } from './types.js';
import { fromPointer, type Path } from '../text/tree.js';

/** The JSON Schema keywords that our schema uses and explanations read. */
export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
}

let schema: Schema | undefined;

/** The JSON Schema of portal.yaml. Loaded only to explain errors, because generated code does the check. */
export function portalSchema(): Schema {
  schema ??= asSchema(JSON.parse(readFileSync(packageFile('schema/portal.values.schema.json'), 'utf8')));
  return schema;
}

/** One schema error of a value. */
export interface SchemaError {
  readonly keyword: string;
  /** Path of the invalid value. */
  readonly path: Path;
  readonly data: unknown;
  /** The part of the schema that contains the keyword. */
  readonly schema: Schema;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export type Verdict =
  | { readonly ok: true; readonly config: PortalConfig }
  | { readonly ok: false; readonly errors: readonly SchemaError[] };

const fits = validators['config'] as Validator<PortalConfig>;

/** All schema errors of a value, or the typed value. */
export function validate(value: unknown): Verdict {
  return fits(value)
    ? { ok: true, config: value }
    : { ok: false, errors: (fits.errors ?? []).map((error) => schemaError(error, value)) };
}

function schemaError(
  { keyword, instancePath, schemaPath, params, message }: ValidationError,
  root: unknown,
): SchemaError {
  const path = fromPointer(instancePath);
  return {
    keyword,
    path,
    data: path.reduce(at, root),
    schema: partAt(fromPointer(decodeURIComponent(schemaPath.slice(1))).slice(0, -1)),
    params: { ...params },
    message: message ?? 'does not fit',
  };
}

/** The part of the schema at a path, across references, since the validator has none. */
function partAt(path: Path): Schema {
  let part: unknown = referent(portalSchema());
  for (const key of path) part = referent(at(part, key));
  return asSchema(part);
}

function referent(part: unknown): unknown {
  if (!isSchema(part) || typeof part.$ref !== 'string') return part;
  return portalSchema().$defs?.[part.$ref.replace('#/$defs/', '')];
}

const at = (value: unknown, key: string | number): unknown =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;

function asSchema(value: unknown): Schema {
  if (!isSchema(value)) throw new TypeError('a schema is an object');
  return value;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null;
}
