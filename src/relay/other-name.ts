/** The remedy if another identity has the name. */
export function otherName(name: string): string {
  // For a hostname, a different name makes no sense.
  return name.includes('.')
    ? 'Use the identity that has it.'
    : `Use another name, for example \`name: ${name}-\${user}\`, or the identity that has it.`;
}
