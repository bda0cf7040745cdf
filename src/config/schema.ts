import { readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import type { PortalConfig } from './schema-types.js';
import { fromPointer, type Path } from './tree.js';

/** The parts of JSON Schema that our schema uses, as explanations read them. */
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

const FILE = new URL('../../schema/portal.schema.json', import.meta.url);

/** The JSON Schema of portal.yaml as it stands in the package. */
export function schemaText(): string {
  return readFileSync(FILE, 'utf8');
}

interface Compiled {
  readonly schema: Schema;
  readonly validate: ValidateFunction<PortalConfig>;
}

let compiled: Compiled | undefined;

/** Read and compiled on first use, once per process: compiling takes longer than validating any file. */
function compile(): Compiled {
  if (compiled) return compiled;
  const schema = asSchema(JSON.parse(schemaText()));
  const ajv = new Ajv2020({ strict: true, allErrors: true, verbose: true });
  ajvFormats.default(ajv, ['hostname']);
  compiled = { schema, validate: ajv.compile<PortalConfig>(schema) };
  return compiled;
}

export function portalSchema(): Schema {
  return compile().schema;
}

/** One thing the schema has against a value. */
export interface SchemaError {
  readonly keyword: string;
  /** Of the value that does not fit. */
  readonly path: Path;
  readonly data: unknown;
  /** The part of the schema that the keyword stands in. */
  readonly schema: Schema;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export type Verdict =
  | { readonly ok: true; readonly config: PortalConfig }
  | { readonly ok: false; readonly errors: readonly SchemaError[] };

/** Everything the schema has against a value, or the value with its type. */
export function validate(value: unknown): Verdict {
  const { validate: fits } = compile();
  return fits(value)
    ? { ok: true, config: value }
    : { ok: false, errors: (fits.errors ?? []).map(schemaError) };
}

function schemaError({
  keyword,
  instancePath,
  data,
  parentSchema,
  params,
  message,
}: ErrorObject): SchemaError {
  return {
    keyword,
    path: fromPointer(instancePath),
    data,
    schema: asSchema(parentSchema),
    params: { ...params },
    message: message ?? 'does not fit',
  };
}

function asSchema(value: unknown): Schema {
  if (!isSchema(value)) throw new TypeError('a schema is an object');
  return value;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null;
}
