import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The licenses of all packages inlined in `outputs`, as text. They require this notice in every copy of their code.
 */
export function licenses(root, outputs) {
  const modules = outputs.flatMap(({ output }) => output).flatMap(({ moduleIds = [] }) => moduleIds);
  const folders = new Set(modules.map(packageFolder).filter((folder) => folder !== undefined));
  const packages = [...folders]
    .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) }))
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version));
  const parts = packages.map(({ folder, name, version, license }) => {
    const text = textOf(folder);
    if (!license && !text) throw new Error(`${name} is inlined but names no license`);
    return `${name} ${version} (${license})\n\n${text ?? `License: ${license}; the package has no text of it.`}\n`;
  });
  return `Portal contains these packages.\n\n${parts.join(`\n${'-'.repeat(72)}\n\n`)}`;
}

/** Matches `…/node_modules/NAME` in a module's path. */
function packageFolder(id) {
  return /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
}

function textOf(folder) {
  const names = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name));
  const texts = names.toSorted().map((name) => readFileSync(join(folder, name), 'utf8').trim());
  return texts.length > 0 ? texts.join('\n\n') : undefined;
}
