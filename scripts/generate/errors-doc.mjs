/** docs/reference/errors.md: every code a person or a program can meet. */
export function renderErrorsDoc(errors) {
  const sections = Object.entries(errors).map(
    ([code, { title, remedy, exit, wire }]) => `## \`${code}\`

**${title}.** ${remedy}

Exit code ${exit}.${wire ? ' Relays answer with it on the control channel too.' : ''}
`,
  );
  return `<!-- Generated from src/lib/error-codes.ts by scripts/generate.mjs: edit that file. -->

# Errors

Every error has a stable code, one of these. Programs should look at the code and never at the message, which may
change. A process that ends because of an error exits with 2 for what a person typed wrong, and with 1 for what failed
while running.

${sections.join('\n')}`;
}
