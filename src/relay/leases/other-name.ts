/** The remedy if another identity has the name. */
export function otherName(name: string): string {
  const identity = `the identity that has "${name}"`;
  // For a hostname, a different name makes no sense.
  if (name.includes('.')) return `Use ${identity}.`;
  return `${exampleName(name)} Or run the agent with ${identity}.`;
}

/** The remedy if nobody can have the name. */
export function exampleName(name: string): string {
  return `Use another name, for example \`name: ${name}-\${user}\`.`;
}
