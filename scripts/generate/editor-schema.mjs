/**
 * The schema for editors, which check portal.yaml as written. The program checks values after it replaces variables
 * (schema/portal.values.schema.json), so here each value may also be a text with `${…}`. The exclusions between modes
 * and keys are code in the program (src/config/checks/mode-rules.ts), and conditions here.
 */

const VARIABLE = {
  description: 'A value with a variable: `${NAME}`, `${NAME:-default}`, `${user}`, `${branch}` or `${id}`.',
  type: 'string',
  pattern: '\\$\\{',
};

/** Annotations go next to the choice of a value or a variable, where editors show them. */
const ANNOTATIONS = ['title', 'description', 'default', 'examples', 'deprecated'];

/** For anchors. The program removes these keys before it checks the file (src/config/extensions.ts). */
const EXTENSIONS = { '^x-': { description: 'Ignored. It may hold what anchors share.' } };

/** Constraints that a text with a variable does not satisfy. */
const LIMITS = ['pattern', 'format', 'maxLength', 'enum', 'const'];

/** `url`: where editors find the schema. */
export function renderEditorSchema(schema, modeRules, url) {
  const { $schema, $defs, ...root } = schema;
  const definitions = withVariables({ ...$defs }, true);
  definitions.variable = VARIABLE;
  const options = definitions.serviceOptions;
  definitions.serviceOptions = { ...options, patternProperties: EXTENSIONS, allOf: conditions(modeRules) };
  const { version, ...properties } = root.properties;
  // Only one version exists, so a variable makes no sense here.
  const written = {
    ...withVariables(root),
    patternProperties: EXTENSIONS,
    properties: { version, ...withVariables(properties, true) },
    // All services may be in included files.
    required: ['version'],
    anyOf: [{ required: ['services'] }, { required: ['include'] }],
  };
  return `${JSON.stringify({ $schema, $id: url, ...written, $defs: definitions }, null, 2)}\n`;
}

/** `isMap`: the keys of this object are names, not keywords. */
function withVariables(node, isMap = false) {
  if (Array.isArray(node)) return node.map((item) => withVariables(item));
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      !isMap && (ANNOTATIONS.includes(key) || key === 'enum')
        ? value
        : withVariables(value, !isMap && key === 'properties'),
    ]),
  );
  return isMap || !takesVariable(copy) ? copy : choice(copy);
}

function takesVariable({ type, ...keywords }) {
  if (['integer', 'number', 'boolean'].includes(type)) return true;
  return (type === 'string' || type === undefined) && LIMITS.some((limit) => limit in keywords);
}

function choice(node) {
  const said = Object.fromEntries(ANNOTATIONS.filter((key) => key in node).map((key) => [key, node[key]]));
  const constraints = Object.fromEntries(Object.entries(node).filter(([key]) => !ANNOTATIONS.includes(key)));
  return { ...said, anyOf: [constraints, { $ref: '#/$defs/variable' }] };
}

const MODES = ['stream', 'http', 'tcp', 'udp'];

/** The keys that each mode excludes, where the file sets the mode. */
function conditions(modeRules) {
  return MODES.map((mode) => {
    const excluded = {};
    for (const { key, modes } of modeRules) if (!modes.includes(mode)) forbid(excluded, key);
    const isWritten = { properties: { mode: { const: mode } }, required: ['mode'] };
    return { if: { not: isWritten }, else: { properties: excluded } };
  });
}

/** Forbids a key, or a key inside it. */
function forbid(properties, [first, second]) {
  if (second === undefined) properties[first] = false;
  else (properties[first] ??= { properties: {} }).properties[second] = false;
}
