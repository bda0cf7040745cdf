import type { ValidateFunction } from 'ajv';
import { PortalError } from '../lib/errors.js';
import { ajv } from './ajv.js';
import { LIMITS } from './limits.js';
import { AGENT_MESSAGES, RELAY_MESSAGES, type FromAgent, type FromRelay } from './messages.js';

/** Checks messages of one side. Bytes in, a typed message out, or a PortalError `protocol`. No I/O. */
type Decoder<M> = (data: string | Buffer) => M;

function decoder<M>(schemas: Record<string, object>): Decoder<M> {
  const validators = new Map<string, ValidateFunction>();
  // Compiled when first seen: a process that never opens a channel pays nothing.
  const validatorOf = (type: string): ValidateFunction | undefined => {
    const known = validators.get(type);
    if (known || !Object.hasOwn(schemas, type)) return known;
    const compiled = ajv.compile(schemas[type]!);
    validators.set(type, compiled);
    return compiled;
  };
  return (data) => {
    const size = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    if (size > LIMITS.maxControlMessageBytes) {
      throw new PortalError(
        'protocol',
        `a message of ${size} bytes is over the limit of ${LIMITS.maxControlMessageBytes}`,
      );
    }
    const value = parse(data.toString());
    const type = (value as { type?: unknown }).type;
    const validate = typeof type === 'string' ? validatorOf(type) : undefined;
    if (!validate) throw new PortalError('protocol', 'a message has an unknown type');
    if (!validate(value)) {
      const first = validate.errors?.[0];
      throw new PortalError(
        'protocol',
        `${String(type)}${first?.instancePath ?? ''} ${first?.message ?? 'is invalid'}`,
      );
    }
    return value as M;
  };
}

function parse(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PortalError('protocol', 'a message is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PortalError('protocol', 'a message is not a JSON object');
  }
  return value;
}

/** Reads what an agent said. */
export const decodeFromAgent = decoder<FromAgent>(AGENT_MESSAGES);
/** Reads what a relay said. */
export const decodeFromRelay = decoder<FromRelay>(RELAY_MESSAGES);

/** A message as text; the types keep a side from saying what is not its to say. */
export function encode(message: FromAgent | FromRelay): string {
  return JSON.stringify(message);
}
