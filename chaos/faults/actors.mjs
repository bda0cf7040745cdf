/** The targets of faults, and helpers that several kinds of fault share. */

/** The relay or the agent with this name. */
export const actorOf = (world, name) => world.relays.get(name) ?? world.agents.get(name);

export const machineOf = (world, name) => actorOf(world, name).machine;

/** Freezes a process. Returns a function that resumes it. */
export function freeze(program) {
  program.signal('SIGSTOP');
  return () => program.signal('SIGCONT');
}
