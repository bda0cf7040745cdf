import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { SCHEMA_URL } from '../../config/schema-url.js';

/** The schema's path in a project that installs Portal. */
const INSTALLED_SCHEMA = './node_modules/portal-up/schema/portal.schema.json';

/** The schema reference for editors in the first line of the file. Never a path that exists only on this machine. */
export async function schemaReference(folder: string): Promise<string> {
  return access(join(folder, INSTALLED_SCHEMA)).then(
    () => INSTALLED_SCHEMA,
    () => SCHEMA_URL,
  );
}

export function starterFile({ port, schema }: { port: number; schema: string }): string {
  return `# yaml-language-server: $schema=${schema}
version: 1

# A relay accepts visitors. By default, one runs inside \`portal up\`, for this machine only.
# relays:
#   urls: [https://relay.example.com]

services:
  # The key is the name: https://web.localhost:8443. The value is the target: the port of your program.
  web: ${port}

  # The long form. \${user} is your user name, with 4 digits of your identity if you are root (root-197f):
  # api:
  #   name: api-\${user}
  #   target: localhost:3001
`;
}
