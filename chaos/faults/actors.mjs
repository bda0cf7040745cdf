/** Whom a fault befalls, and what more than one kind of fault does to it. */

/** The relay or the agent of this name. */
export const actorOf = (world, name) => world.relays.get(name) ?? world.agents.get(name);

export const machineOf = (world, name) => actorOf(world, name).machine;

/** Stops a process where it is; what is returned lets it go on. */
export function freeze(program) {
  program.signal('SIGSTOP');
  return () => program.signal('SIGCONT');
}
