import { existsSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { SCHEMA_URL } from '../../config/schema-url.js';

/** The schema's path in a project that installs Portal. */
const INSTALLED_SCHEMA = 'node_modules/portal-up/schema/portal.schema.json';

/**
 * The schema reference for editors in the first line of the file: the package that this repository installs, which also works
 * offline, or else a URL. Never a path that exists only on this machine.
 */
export function schemaReference(folder: string): string {
  const above = foldersOfRepository(folder).find((each) => existsSync(join(each, INSTALLED_SCHEMA)));
  if (above === undefined) return SCHEMA_URL;
  const way = relative(folder, above).split(sep).join('/');
  return `${way === '' ? '.' : way}/${INSTALLED_SCHEMA}`;
}

/** `folder` and those above it in its git repository. Without a repository, only `folder`. */
function foldersOfRepository(folder: string): string[] {
  const folders = [folder];
  while (!existsSync(join(folders.at(-1)!, '.git'))) {
    const above = dirname(folders.at(-1)!);
    if (above === folders.at(-1)) return [folder];
    folders.push(above);
  }
  return folders;
}

export function starterFile({ port, schema }: { port: number; schema: string }): string {
  return `# yaml-language-server: $schema=${schema}
version: 1

# A relay accepts visitors. By default, one runs inside \`portal up\`,
# for this machine only.
# relays:
#   urls: [https://relay.example.com]

services:
  # The key is the name: https://web.localhost:8443. The value is the target:
  # the port of your program.
  web: ${port}

  # The long form. \${user} is your user name, with 4 digits of your identity
  # if you are root (root-197f):
  # api:
  #   name: api-\${user}
  #   target: localhost:3001
`;
}
