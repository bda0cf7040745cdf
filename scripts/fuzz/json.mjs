import { below, pick } from './chance.mjs';

/** Mutations of JSON text. */

const VALUES = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e400',
  '9007199254740993',
  '""',
  '"x"',
  '[]',
  '{}',
  '"\\ud800"',
  '{"__proto__":{"polluted":1}}',
];
const KEYS = ['__proto__', 'constructor', 'toString', 'type', 'id', 'metadata', 'tickets', ''];

/** Replaces a value that follows a colon, comma or bracket in JSON text. */
function replaceValue(random, input, value = pick(random, VALUES)) {
  const text = input.toString('latin1');
  const places = [...text.matchAll(/(?<=[:,[])("(?:[^"\\]|\\.)*"|[\d.e-]+|\[\]|\{\})/g)];
  if (places.length === 0) return input;
  const { index, 0: old } = pick(random, places);
  return Buffer.from(text.slice(0, index) + value + text.slice(index + old.length), 'latin1');
}

function nest(random, input) {
  const depth = below(random, pick(random, [4, 4, 4, 50, 50, 2000]));
  const [open, close] = pick(random, [
    ['[', ']'],
    ['{"a":', '}'],
  ]);
  return replaceValue(random, input, `${open.repeat(depth)}1${close.repeat(depth)}`);
}

function addKey(random, input) {
  const text = input.toString('latin1');
  const at = text.indexOf('{', below(random, text.length + 1)) + 1;
  const comma = text[at] === '}' ? '' : ',';
  return Buffer.from(
    `${text.slice(0, at)}"${pick(random, KEYS)}":${pick(random, VALUES)}${comma}${text.slice(at)}`,
    'latin1',
  );
}

export const jsonMutations = [(random, input) => replaceValue(random, input), addKey, addKey, nest];
