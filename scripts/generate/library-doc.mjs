/** docs/reference/library.md: every export of the package, as its types declare it. */

const SECTIONS = {
  Functions: ['up', 'expose'],
  Options: ['UpOptions', 'RunOptions', 'CommonOptions', 'Configuration', 'ExposeOptions', 'WaitOptions'],
  'What they return': ['Portal', 'RunningService', 'ServiceState', 'Tunnel', 'Published', 'Closable'],
  Requests: ['RequestMatch', 'RecordedRequest', 'RecordedBody', 'FetchInit'],
  Events: ['Events', 'EventName', 'TimedEvent'],
  Errors: ['PortalError', 'ConfigProblem'],
};

/** @param declarations of src/library/api.ts, by name */
export function renderLibraryDoc(declarations) {
  const listed = Object.values(SECTIONS).flat();
  const missing = [...declarations.keys()].filter((name) => !listed.includes(name));
  if (missing.length > 0)
    throw new Error(`scripts/generate/library-doc.mjs does not list ${missing.join(', ')}`);
  const sections = Object.entries(SECTIONS).map(
    ([title, names]) => `## ${title}\n\n${names.map((name) => block(declarations.get(name))).join('\n\n')}\n`,
  );
  return `<!-- Generated from src/library/api.ts by scripts/generate.mjs: edit that file. -->

# Library

Every export of \`portal-up\`, with its types. [Use Portal from a program](../guides/library.md) shows how to use them.

The settings of a service are those of [portal.yaml](config.md), the events those of [\`portal up --json\`](events.md), and the codes of errors those of
[errors](errors.md). The package has types for them too.

${sections.join('\n')}`;
}

const block = (declaration) => `\`\`\`ts\n${declaration.replaceAll(/^export (?:declare )?/gm, '')}\n\`\`\``;
