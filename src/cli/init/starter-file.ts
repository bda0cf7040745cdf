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
