import { Ajv } from 'ajv';

/** For messages from the other side of the wire: unknown fields are dropped, known fields are checked. */
export const ajv = new Ajv({ removeAdditional: true, allErrors: false, strict: true });
