import { scalar } from '../../lib/relay-yaml.js';

/** A value as YAML on one line, as people write it: `{ web: 3000 }`, `[a, b]`. */
export function flowYaml(value: unknown): string {
  if (typeof value === 'string') return scalar(value);
  if (Array.isArray(value)) return `[${value.map(flowYaml).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).map(([key, each]) => `${keyText(key)}: ${flowYaml(each)}`);
  return `{ ${entries.join(', ')} }`;
}

const keyText = (key: string): string => (/^[\w./-]+$/.test(key) ? key : JSON.stringify(key));
