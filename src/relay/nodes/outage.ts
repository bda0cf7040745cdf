import { within } from '../../lib/wait.js';
import type { Nodes } from './nodes.js';

export interface OutageOptions {
  readonly nodes: Nodes;
  /** Whether this node can use the database now. */
  readonly isConnected: () => boolean;
  readonly everyMs: number;
}

/**
 * Finds out whether a database fails for all nodes or for this one. If another node does not respond, or uses the database,
 * this node may be cut off alone.
 */
export class Outage {
  readonly #options: OutageOptions;
  readonly #timer: NodeJS.Timeout;
  #isAsking = false;
  #at: number | undefined;

  constructor(options: OutageOptions) {
    this.#options = options;
    options.nodes.serve({ usesDatabase: async () => options.isConnected() });
    this.#timer = setInterval(() => void this.#ask(), options.everyMs).unref();
  }

  /** When all others were asked, and none could use the database; undefined if that never was so. */
  get at(): number | undefined {
    return this.#at;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    const { nodes, isConnected, everyMs } = this.#options;
    const others = [...nodes.others];
    if (this.#isAsking || others.length === 0 || isConnected()) return;
    this.#isAsking = true;
    const at = performance.now();
    const answers = others.map((node) =>
      within(nodes.call(node, 'usesDatabase'), everyMs, `the response of node ${node}`).catch(
        () => undefined,
      ),
    );
    if ((await Promise.all(answers)).every((uses) => uses === false)) this.#at = at;
    this.#isAsking = false;
  }
}
