import { validators as ofAgents, type Validator } from 'validators:from-agent';
import { validators as ofRelays } from 'validators:from-relay';
import { PortalError } from '../lib/errors.js';
import { LIMITS } from './limits.js';
import type { FromAgent, FromRelay } from './messages.js';

/** Decodes messages of one side: bytes in, a typed message out, or a PortalError `protocol`. No I/O. */
type Decoder<M> = (data: string | Buffer) => M;

function decoder<M>(validators: Readonly<Record<string, Validator>>): Decoder<M> {
  return (data) => {
    const size = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    if (size > LIMITS.maxControlMessageBytes) {
      throw new PortalError(
        'protocol',
        `a message of ${size} bytes exceeds the limit of ${LIMITS.maxControlMessageBytes}`,
      );
    }
    const value = parse(data.toString());
    const type = (value as { type?: unknown }).type;
    const validate =
      typeof type === 'string' && Object.hasOwn(validators, type) ? validators[type] : undefined;
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

/** Decodes a message of an agent. */
export const decodeFromAgent = decoder<FromAgent>(ofAgents);
/** Decodes a message of a relay. */
export const decodeFromRelay = decoder<FromRelay>(ofRelays);

/** A message as text. */
export function encode(message: FromAgent | FromRelay): string {
  return JSON.stringify(message);
}
