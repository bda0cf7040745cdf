/** docs/reference/errors.md: every error code. */
export function renderErrorsDoc(errors) {
  const sections = Object.entries(errors).map(
    ([code, { title, remedy, exit, wire }]) => `## \`${code}\`

**${title}.** ${remedy}

Exit code ${exit}.${wire ? ' Relays also send it on the control channel.' : ''}
`,
  );
  return `<!-- Generated from src/lib/error-codes.ts by scripts/generate.mjs: edit that file. -->

# Errors

Every error has one of these stable codes. Programs should read the code, not the message, which may change. If an
error ends a process, it exits with 2 for invalid input, and with 1 for a failure at run time.

${sections.join('\n')}`;
}
