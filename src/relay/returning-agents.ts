/** Owns which agents the relay expects back after its start: those that a previous process of the relay knew. */
export class ReturningAgents {
  #until = 0;
  /** Hostnames whose agents have returned. */
  readonly #returned = new Set<string>();

  /** Call when the relay starts: agents reconnect within `graceMs`. */
  start(graceMs: number): void {
    this.#until = performance.now() + graceMs;
  }

  /** Milliseconds to wait for the agent of `hostname`; 0 if it is not expected. */
  leftMs(hostname: string): number {
    return this.#returned.has(hostname) ? 0 : Math.max(0, this.#until - performance.now());
  }

  returned(hostname: string): void {
    if (performance.now() < this.#until) this.#returned.add(hostname);
  }
}
