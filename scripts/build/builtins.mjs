/** `import … from "node:…"` in the form that rolldown writes. */
const IMPORT =
  /^import (?:(?<whole>[\w$]+)|\* as (?<all>[\w$]+))?,? ?(?:\{ (?<names>[^}]+) \})? from "(?<id>node:[^"]+)";$/gm;
const START = 'import { createRequire as createRequireOfNode } from "node:module";';
const REQUIRE = 'const requireOfNode = createRequireOfNode(import.meta.url);';

/**
 * A plugin that makes chunks require Node's own modules. An import reads every export of the module, including
 * getters that load more: on Node 24, importing `node:http` loads the client behind `fetch` and takes 35 ms,
 * requiring it 3.
 */
export function requiredBuiltins() {
  return {
    name: 'required-builtins',
    renderChunk(code) {
      let isChanged = false;
      const changed = code.replaceAll(IMPORT, (line, ...rest) => {
        const { whole, all, names, id } = rest.at(-1);
        if (id === 'node:module') return line;
        isChanged = true;
        const parts = [];
        if (whole ?? all) parts.push(`const ${whole ?? all} = requireOfNode("${id}");`);
        if (names) parts.push(`const { ${names.replaceAll(' as ', ': ')} } = requireOfNode("${id}");`);
        return parts.join(' ');
      });
      return isChanged ? { code: `${START}\n${REQUIRE}\n${changed}`, map: null } : null;
    },
  };
}
