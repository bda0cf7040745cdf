/** Amounts as people type them. */

const MS_OF = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES_OF = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** `30s`, `5m`, `500ms`; a bare number is in `unit`. Undefined: it is none. */
export function parseDurationMs(text: string, unit: keyof typeof MS_OF): number | undefined {
  const [, amount, named] = /^(\d{1,15}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Math.round(Number(amount) * MS_OF[(named as keyof typeof MS_OF | undefined) ?? unit]);
}

/** `65536`, `64K`, `10M`, in powers of 1024. Undefined: it is none. */
export function parseBytes(text: string): number | undefined {
  const [, amount, named = ''] = /^(\d{1,15})([KMG])?$/.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * BYTES_OF[named as keyof typeof BYTES_OF];
}
