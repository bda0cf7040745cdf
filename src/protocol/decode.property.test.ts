import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PortalError } from '../lib/errors.js';
import { decodeFromAgent, decodeFromRelay, encode } from './decode.js';
import { LIMITS } from './limits.js';
import { AGENT_MESSAGES, RELAY_MESSAGES, type FromAgent } from './messages.js';

/** The keywords that a schema of this protocol may use; others would need a generator here. */
interface Schema {
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: 'boolean' | 'string' | 'integer' | 'array' | 'object';
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly propertyNames?: Schema;
  readonly maxProperties?: number;
  readonly additionalProperties?: boolean | Schema;
}

/** Valid values of a schema. */
function valid(schema: Schema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'string':
      if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.string({
        unit: 'binary',
        minLength: schema.minLength ?? 0,
        maxLength: schema.maxLength ?? 100,
      });
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 2 ** 31, 2 ** 31 - 1) });
    case 'array':
      return fc.array(valid(schema.items!), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems!, 20),
      });
    case 'object': {
      if (!schema.properties) {
        const key = valid({ type: 'string', ...schema.propertyNames }) as fc.Arbitrary<string>;
        return fc.dictionary(key, valid(schema.additionalProperties as Schema), {
          maxKeys: schema.maxProperties!,
        });
      }
      const fields = Object.entries(schema.properties).map(([name, field]) => [name, valid(field)] as const);
      return fc.record(Object.fromEntries(fields), {
        requiredKeys: [...schema.required!],
        noNullPrototype: true,
      });
    }
    default:
      throw new Error(`no generator for ${JSON.stringify(schema)}`);
  }
}

const SIDES = [
  { side: 'agent', schemas: AGENT_MESSAGES as Record<string, Schema>, decode: decodeFromAgent },
  { side: 'relay', schemas: RELAY_MESSAGES as Record<string, Schema>, decode: decodeFromRelay },
] as const;

/** A message of either side. The decoders check its other fields. */
interface Message {
  readonly type: string;
}

const fits = (text: string): boolean => Buffer.byteLength(text) <= LIMITS.maxControlMessageBytes;

function firstFailure<T>(property: fc.IProperty<T>): T | null {
  return fc.check(property, { numRuns: 500 }).counterexample;
}

describe.each(SIDES)('a message of a $side', ({ schemas, decode }) => {
  const message = fc.oneof(...Object.values(schemas).map(valid)) as fc.Arbitrary<Message>;

  /**
   * The decoder's contract for any input: it returns a message of a known type, or throws a PortalError `protocol`.
   */
  const takes = (data: string | Buffer): boolean => {
    try {
      return Object.hasOwn(schemas, decode(data).type);
    } catch (error) {
      return error instanceof PortalError && error.code === 'protocol';
    }
  };
  it('survives encode and decode unchanged', () => {
    fc.assert(
      fc.property(message, (original) => {
        const text = encode(original as FromAgent);
        fc.pre(fits(text));
        expect(decode(text)).toEqual(JSON.parse(text));
        expect(decode(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 300 },
    );
  });

  it('loses unknown fields, and nothing else', () => {
    const unknown = fc.dictionary(
      fc.string().filter((key) => key !== 'type'),
      fc.jsonValue(),
      { maxKeys: 5 },
    );
    fc.assert(
      fc.property(message, unknown, (original, more) => {
        const known = Object.keys(schemas[original.type]!.properties!);
        const extra = Object.fromEntries(Object.entries(more).filter(([key]) => !known.includes(key)));
        const text = JSON.stringify({ ...extra, ...original });
        fc.pre(fits(text));
        expect(decode(text)).toEqual(JSON.parse(encode(original as FromAgent)));
      }),
      { numRuns: 200 },
    );
  });

  it('is rejected with protocol and no other error: any JSON, any bytes, any text', () => {
    const anything = fc.oneof(
      fc.json({ maxDepth: 5 }),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: 'binary' }),
    );
    expect(firstFailure(fc.property(anything, takes))).toBeNull();
  });

  it('is rejected with protocol if any value replaces any field', () => {
    const broken = fc.tuple(message, fc.nat(), fc.jsonValue()).map(([original, at, value]) => {
      const keys = Object.keys(original);
      return JSON.stringify({ ...original, [keys[at % keys.length]!]: value });
    });
    expect(firstFailure(fc.property(broken, takes))).toBeNull();
  });

  it('is rejected if it is too long', () => {
    const long = ' '.repeat(LIMITS.maxControlMessageBytes + 1);
    for (const data of [long, Buffer.from(long), `{"type":"ok"${long}}`, '['.repeat(100_000)])
      expect(() => decode(data)).toThrow(expect.objectContaining({ code: 'protocol' }));
  });
});
