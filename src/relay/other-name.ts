/** How a person gets a name of their own where a team's file names one that somebody holds. */
export function otherName(name: string): string {
  // A domain of one's own has no other name.
  return name.includes('.')
    ? 'Use the identity that holds it.'
    : `Use another name, for example \`name: ${name}-\${user}\`, or the identity that holds it.`;
}
