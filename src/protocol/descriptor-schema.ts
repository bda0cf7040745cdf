const text = { type: 'string', minLength: 1, maxLength: 64 } as const;
const time = { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$' } as const;

/** The schema of a relay's descriptor. Unknown fields are covered by the signature. */
export const DESCRIPTOR = {
  type: 'object',
  properties: {
    address: { type: 'string', pattern: '^0x[0-9a-fA-F]{40}$' },
    url: { type: 'string', pattern: '^https://', maxLength: 300 },
    protocols: { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 16 },
    capabilities: { type: 'array', items: text, maxItems: 32 },
    carriers: { type: 'array', items: text, maxItems: 8 },
    limits: { type: 'object', maxProperties: 64, additionalProperties: { type: 'number' } },
    issuedAt: time,
    expiresAt: time,
    signature: { type: 'string', pattern: '^0x[0-9a-fA-F]{130}$' },
  },
  required: [
    'address',
    'url',
    'protocols',
    'capabilities',
    'carriers',
    'limits',
    'issuedAt',
    'expiresAt',
    'signature',
  ],
} as const;
