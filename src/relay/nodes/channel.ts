import { Caller, serveCalls, type Channel } from '../../lib/calls.js';
import { ServedMethods } from './methods.js';
import { nodeLeft, type NodeMethods, type Nodes } from './nodes.js';
import type { FromMain, ToNode } from './switchboard.js';

/** The other nodes of this relay, over a channel to its main process. */
export class ChannelNodes implements Nodes {
  readonly #main: Channel;
  readonly #others = new Map<string, Other>();
  readonly #methods = new ServedMethods();
  readonly #listeners = new Set<(node: string) => void>();

  constructor(main: Channel) {
    this.#main = main;
    main.onMessage((received) => this.#receive(received as FromMain));
    main.onClose(() => {
      for (const node of this.#others.keys()) this.#left(node);
    });
  }

  get others(): Iterable<string> {
    return [...this.#others.keys()];
  }

  /** Call when everything is served: until then, calls of other methods wait. */
  started(): void {
    this.#methods.started();
  }

  async call(node: string, method: string, ...args: readonly unknown[]): Promise<unknown> {
    const other = this.#others.get(node);
    if (!other) throw nodeLeft(node);
    return other.caller.call('run', method, args);
  }

  tell(node: string, method: string, ...args: readonly unknown[]): void {
    this.#others.get(node)?.caller.tell('run', method, args);
  }

  serve(methods: NodeMethods): void {
    this.#methods.serve(methods);
  }

  onLeft(listener: (node: string) => void): void {
    this.#listeners.add(listener);
  }

  #receive(received: FromMain): void {
    if ('joined' in received) for (const node of received.joined) this.#joined(node);
    else if ('left' in received) this.#left(received.left);
    else this.#others.get(received.from)?.receive(received.message);
  }

  #joined(node: string): void {
    const other = new Other(node, (message) => this.#main.send({ to: node, message } satisfies ToNode));
    serveCalls(other, { run: (method: string, args: never[]) => this.#methods.run(node, method, args) });
    this.#others.set(node, other);
  }

  #left(node: string): void {
    const other = this.#others.get(node);
    if (!other) return;
    this.#others.delete(node);
    other.close();
    for (const listener of this.#listeners) listener(node);
  }
}

/** Another node, and the channel to it. */
class Other implements Channel {
  readonly send: (message: unknown) => void;
  readonly caller: Caller;
  readonly #listeners: ((message: unknown) => void)[] = [];
  readonly #closeListeners: (() => void)[] = [];

  constructor(name: string, send: (message: unknown) => void) {
    this.send = send;
    this.caller = new Caller(this, undefined, nodeLeft(name).message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listeners.push(listener);
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  /** Call when the node has ended. */
  close(): void {
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  receive(message: unknown): void {
    for (const listener of this.#listeners) listener(message);
  }
}
