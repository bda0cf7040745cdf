import { deferred } from '../../lib/wait.js';
import type { NodeMethods } from './nodes.js';

/** Owns what other nodes may call at this node. */
export class ServedMethods {
  readonly #methods = new Map<string, NodeMethods[string]>();
  readonly #started = deferred<void>();

  /** Call when everything is served: until then, calls of other methods wait. */
  started(): void {
    this.#started.resolve();
  }

  serve(methods: NodeMethods): void {
    for (const [name, method] of Object.entries(methods)) this.#methods.set(name, method);
  }

  run(from: string, name: string, args: never[]): unknown {
    const method = this.#methods.get(name);
    return method ? method(from, ...args) : this.#runLater(from, name, args);
  }

  async #runLater(from: string, name: string, args: never[]): Promise<unknown> {
    await this.#started.promise;
    const method = this.#methods.get(name);
    if (!method) throw new Error(`no such method: ${name}`);
    return method(from, ...args);
  }
}
