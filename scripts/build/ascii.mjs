/**
 * A plugin that writes characters beyond ASCII as `\u…`. One such character makes V8 keep the source of the whole chunk with two
 * bytes for each character, for as long as the program runs. It applies to strings, templates, regular expressions and names.
 */
export function asciiOnly() {
  return {
    name: 'ascii-only',
    // Not in renderChunk: rolldown prints strings again after it.
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        const literal = UNCHANGEABLE.exec(chunk.code);
        if (literal) this.error(`${chunk.fileName}: write ${literal[0]} in ASCII, with \\u…`);
        if (BEYOND.test(chunk.code)) chunk.code = chunk.code.replaceAll(EACH_BEYOND, escaped);
      }
    },
  };
}

const BEYOND = /[^\0-\x7f]/;
const EACH_BEYOND = /[^\0-\x7f]/g;
/** After a backslash, `\u…` would be text; in a raw template it is text. */
const UNCHANGEABLE = /\\[^\0-\x7f]|\braw`[^`]*[^\0-\x7f][^`]*`/;

const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
