import { readFileSync } from 'node:fs';

const PREAMBLE = new URL('./config-preamble.md', import.meta.url);

/**
 * docs/reference/config.md: a handwritten preamble, then every key of the schema. Each definition that is a mapping gets
 * a separate section.
 * @param {object} schema
 */
export function renderConfigDoc(schema) {
  const sections = sectionsOf(schema);
  return [
    '<!-- Generated from schema/portal.values.schema.json by scripts/generate.mjs: edit the schema, or the preamble beside it. -->',
    readFileSync(PREAMBLE, 'utf8'),
    '## Keys',
    ...sections.map((section) => renderSection(section, schema)),
  ].join('\n\n');
}

/** Mappings with fixed keys, each once, in reading order. `path` is the path from the root. */
function sectionsOf(schema) {
  const sections = [];
  const queue = [{ title: 'The file', path: [], node: schema }];
  while (queue.length > 0) {
    const section = queue.shift();
    if (sections.some((done) => done.node === section.node)) continue;
    sections.push(section);
    const inner = Object.entries(section.node.properties).flatMap(([key, node]) =>
      mappingsWithin(schema, node, [...section.path, key]),
    );
    queue.unshift(...inner); // depth first: the keys inside a key follow it
  }
  return sections;
}

function mappingsWithin(schema, node, path) {
  const target = resolve(schema, node);
  if (target.properties) return [{ title: titleOf(path), path, node: target }];
  const branches = (target.anyOf ?? []).flatMap((branch) => mappingsWithin(schema, branch, path));
  const values = target.additionalProperties
    ? mappingsWithin(schema, target.additionalProperties, [...path, '*'])
    : [];
  const items = target.items ? mappingsWithin(schema, target.items, [...path, '[]']) : [];
  return [...branches, ...values, ...items];
}

function titleOf(path) {
  const parts = path.map((part) => (part === '*' ? 'NAME' : part));
  return `\`${parts.join('.').replaceAll('.[]', '[]')}\``;
}

function renderSection({ title, node }, schema) {
  const keys = Object.entries(node.properties).map(([key, property]) => {
    const target = resolve(schema, property);
    const facts = [
      typeText(schema, property),
      ...(node.required?.includes(key) ? ['required'] : []),
      ...(target.default === undefined ? [] : [`default ${code(target.default)}`]),
    ];
    const examples = (property.examples ?? target.examples ?? []).map((example) =>
      code(`${key}: ${typeof example === 'string' ? example : flow(example)}`),
    );
    return [
      `- **\`${key}\`** — ${facts.join('; ')}`,
      `  ${property.description ?? target.description}`,
      ...(examples.length > 0 ? [`  Example: ${examples.join(', ')}`] : []),
    ].join('\n\n');
  });
  return [`### ${title}`, node.description, ...keys].join('\n\n');
}

/** Definitions with a better name than their type. */
const TYPE_NAMES = {
  relayUrl: 'URL',
  port: 'port',
  targetText: 'address',
  dnsLabel: 'DNS label',
  duration: 'time',
  healthPath: 'path',
};

function typeText(schema, node) {
  const named = TYPE_NAMES[node.$ref?.replace('#/$defs/', '')];
  if (named) return named;
  const target = resolve(schema, node);
  if (target.enum) return listOf(target.enum.map(code));
  if (target.anyOf) return listOf([...new Set(target.anyOf.map((branch) => typeText(schema, branch)))]);
  if (target.type === 'array') return `list; each entry ${typeText(schema, target.items)}`;
  if (target.type === 'object' && target.additionalProperties) {
    return `mapping of names; each value ${typeText(schema, target.additionalProperties)}`;
  }
  if (target.type === 'integer' && target.minimum !== undefined)
    return `${target.minimum} to ${target.maximum}`;
  return {
    object: 'mapping',
    string: 'text',
    boolean: '`true` or `false`',
    integer: 'whole number',
    null: 'null',
  }[target.type];
}

function listOf(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A value as YAML in flow style, with quotes only where needed. */
function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${key}: ${flow(inner)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  if (typeof value !== 'string') return String(value);
  return /^[\w./:@-]+$/.test(value) && !/^[\d.]+$|: |:$|::/.test(value) ? value : JSON.stringify(value);
}

function code(value) {
  return `\`${typeof value === 'string' ? value : flow(value)}\``;
}

function resolve(schema, node) {
  return node.$ref ? resolve(schema, schema.$defs[node.$ref.replace('#/$defs/', '')]) : node;
}
