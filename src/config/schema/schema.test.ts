import { describe, expect, it } from 'vitest';
import { portalSchema, type Schema } from './schema.js';
import { expected } from '../words/words.js';

/** Every part of the schema, with its path. */
function parts(schema: Schema, at = '#'): [string, Schema][] {
  const below = [
    ...Object.entries({ ...schema.properties, ...schema.$defs }),
    ...[schema.additionalProperties, schema.items].flatMap((part) => (part ? [['*', part] as const] : [])),
    ...(schema.anyOf ?? []).map((part, index) => [`anyOf/${index}`, part] as const),
  ];
  return [[at, schema], ...below.flatMap(([key, part]) => parts(part, `${at}/${key}`))];
}

describe('the schema', () => {
  const all = parts(portalSchema());
  const properties = all.flatMap(([at, part]) =>
    Object.entries(part.properties ?? {}).map(([key, value]): [string, Schema] => [`${at}/${key}`, value]),
  );

  it('describes every key, with an example', () => {
    const defs = portalSchema().$defs ?? {};
    const bare = properties.filter(([, part]) => {
      const target = part.$ref ? defs[part.$ref.replace('#/$defs/', '')] : part;
      return !target?.description || (!target.examples && !target.properties);
    });
    expect(bare.map(([at]) => at)).toEqual([]);
  });

  it('rejects unknown keys in every mapping that has known ones', () => {
    const open = all.filter(([, part]) => part.properties && part.additionalProperties !== false);
    expect(open.map(([at]) => at)).toEqual([]);
  });

  it('has a description for each rule that a type does not explain', () => {
    const wordless = all.filter(([, part]) => (part.anyOf && part.anyOf.length > 1) || 'pattern' in part);
    expect(wordless.length).toBeGreaterThan(5);
    expect(wordless.filter(([, part]) => expected(part) === 'a hostname').map(([at]) => at)).toEqual([]);
  });

  it('has only unions whose branches differ in type', () => {
    const defs = portalSchema().$defs ?? {};
    const typeOf = (part: Schema): unknown =>
      part.$ref ? typeOf(defs[part.$ref.replace('#/$defs/', '')] ?? {}) : part.type;
    const alike = all.filter(([, part]) => {
      const types = (part.anyOf ?? []).map(typeOf);
      return types.includes(undefined) || new Set(types).size < types.length;
    });
    expect(alike.map(([at]) => at)).toEqual([]);
  });
});
