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

Every error has one of these stable codes. Programs should read the code, not the message, which may change. A process
that an error ends exits with 2 if a person's input is invalid, and with 1 if something failed at run time.

${sections.join('\n')}`;
}
