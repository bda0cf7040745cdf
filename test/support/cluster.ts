import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import type { UrlRelay } from '../../src/agent/spec.js';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import type { LeaseDirectory } from '../../src/relay/directory/directory.js';
import { MemoryDirectory } from '../../src/relay/directory/memory.js';
import type { RelayOptions } from '../../src/relay/relay.js';
import { nodeLeft, type Cluster, type NodeMethods, type Nodes } from '../../src/relay/nodes/nodes.js';
import { TlsNodes, type Membership } from '../../src/relay/nodes/tls-nodes.js';
import { LocalLinks } from '../../src/relay/nodes/local-links.js';
import { MemoryStore } from '../../src/relay/store/memory.js';
import { deferred, type Deferred } from '../../src/lib/wait.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { caFolder } from './ca-pool.js';
import { log } from './log.js';
import { wire, type Wire } from './wire.js';
import { relay, type TestRelay } from './world.js';

type Methods = Record<string, (from: string, ...args: unknown[]) => unknown>;

/** Nodes in one process. What they pass is copied, and arrives later, as between processes. */
class MemoryNodes {
  readonly #methods = new Map<string, Methods>();
  readonly #left = new Map<string, ((node: string) => void)[]>();
  readonly #held = new Map<string, Deferred<void>>();

  node(name: string): Nodes {
    this.#methods.set(name, this.#methods.get(name) ?? {});
    this.#left.set(name, this.#left.get(name) ?? []);
    const all = this.#methods;
    const call = async (node: string, method: string, args: readonly unknown[]): Promise<unknown> => {
      const copies = structuredClone(args);
      await this.#held.get(`${name} ${node}`)?.promise;
      const methods = all.get(node);
      if (!methods || !all.has(name)) throw nodeLeft(node);
      const run = methods[method];
      if (!run) throw new Error(`no method ${method}`);
      return structuredClone(await run(name, ...copies));
    };
    return {
      get others() {
        return [...all.keys()].filter((other) => other !== name);
      },
      call: (node, method, ...args) => call(node, method, args),
      tell: (node, method, ...args) => void call(node, method, args).catch(() => undefined),
      serve: (methods: NodeMethods) => void Object.assign(all.get(name)!, methods),
      onLeft: (listener) => void this.#left.get(name)!.push(listener),
    };
  }

  /** Holds what `from` sends to `to`, until the caller releases it. */
  hold(from: string, to: string): () => void {
    const held = deferred<void>();
    this.#held.set(`${from} ${to}`, held);
    return () => {
      this.#held.delete(`${from} ${to}`);
      held.resolve();
    };
  }

  /** Ends a node as if its process had crashed. */
  leave(name: string): void {
    this.#methods.delete(name);
    for (const listeners of this.#left.values()) for (const listener of listeners) listener(name);
  }
}

export interface TestCluster {
  readonly nodes: readonly TestRelay[];
  /** The port of all nodes. `next` decides at which node the next connection arrives. */
  readonly path: Wire;
  /** As agents know it. */
  readonly spec: UrlRelay;
  /** Sends each connection to the node that `choose` returns, from now on. Default: in turns. */
  route(choose: () => number): void;
  /** Holds what one node tells another one, until the caller releases it. Only over loopback. */
  hold(from: number, to: number): () => void;
  /** Starts another node. */
  join(): Promise<TestRelay>;
  /** Ends a node as if its process had crashed. */
  crash(node: number): Promise<void>;
  /** Stops a node in order. */
  stop(node: number): Promise<void>;
}

/** How nodes reach each other: as processes on one machine do, or as machines. */
export type NodesOver = 'loopback' | 'TLS';

/** What the nodes share beside their calls. */
export interface Engine {
  open(node: string): Promise<Pick<Cluster, 'directory' | 'store' | 'denials' | 'isCurrent' | 'degraded'>>;
  /** Call when a node ended as if its process had crashed. */
  crashed(node: string): void;
}

/** A directory and a store in memory. */
export function memoryEngine(graceMs: number, store = new MemoryStore()): Engine {
  const directory = new MemoryDirectory();
  const dead = new Set<string>();
  onTestFinished(() => store.close());
  return {
    open: async (node) => ({ directory: mortal(directory.node(node), dead), store: unclosed(store) }),
    crashed: (node) => {
      dead.add(node);
      directory.lost(node, graceMs);
    },
  };
}

/** A relay of several nodes behind one port. */
export async function cluster(
  count: number,
  {
    over = 'loopback',
    hostOf,
    ...options
  }: Partial<RelayOptions> & { over?: NodesOver; hostOf?: (node: string) => string } = {},
  engine = memoryEngine(options.limits?.graceMs ?? 60_000),
): Promise<TestCluster> {
  const memory = new MemoryNodes();
  const identity = generateIdentity();
  const ca = await openLocalCa(await caFolder());
  const nodes: TestRelay[] = [];
  const secret = randomUUID();
  let turn = 0;
  let choose = (): number => turn++ % nodes.length;
  const path = await wire(() => nodes[choose()]!.addresses[0]!);
  const names = Array.from({ length: count }, (_, index) => `n${index}`);
  const machines = over === 'TLS' ? await tlsNodes(names, identity) : undefined;
  const join = async (name: string): Promise<TestRelay> => {
    const others = memory.node(name);
    const machine = machines?.get(name);
    machine?.join(
      name,
      membership(others, (node) => machines!.get(node)!.port),
    );
    const shared = {
      ...(await engine.open(name)),
      nodes: machine ?? others,
      links: machine ?? (await LocalLinks.open(others, secret)),
    };
    const node = await relay({
      ca,
      identity,
      publicPort: path.port,
      cluster: shared,
      ...(hostOf && { nodeHost: hostOf(name), host: hostOf(name) }),
      ...options,
    });
    machine?.started();
    nodes.push(node);
    return node;
  };
  for (const name of names) await join(name);
  return {
    nodes,
    path,
    spec: { kind: 'url', url: `https://localhost:${path.port}`, caFile: ca.certificateFile },
    route: (by) => void (choose = by),
    hold: (from, to) => memory.hold(`n${from}`, `n${to}`),
    join: () => join(`n${nodes.length}`),
    stop: async (node) => {
      await nodes[node]!.close({ drainMs: 5_000 });
      memory.leave(`n${node}`);
    },
    crash: async (node) => {
      memory.leave(`n${node}`);
      engine.crashed(`n${node}`);
      await nodes[node]!.close();
    },
  };
}

/** Nodes that listen for each other, and have not joined yet. */
async function tlsNodes(
  names: readonly string[],
  identity: Identity,
): Promise<ReadonlyMap<string, TlsNodes>> {
  const at = { identity, host: '127.0.0.1', port: 0, log };
  const all = new Map(
    await Promise.all(names.map(async (name) => [name, await TlsNodes.listen(at)] as const)),
  );
  onTestFinished(() => {
    for (const node of all.values()) node.destroy();
  });
  return all;
}

/** The nodes that `running` knows, each at its port on this machine. */
function membership(running: Nodes, portOf: (node: string) => number): Membership {
  return {
    names: () => running.others,
    addressOf: (node) => `127.0.0.1:${portOf(node)}`,
    onLeft: (listener) => running.onLeft(listener),
  };
}

/** The view of a node, which changes nothing once the node has crashed. */
function mortal(view: LeaseDirectory, dead: ReadonlySet<string>): LeaseDirectory {
  const release = view.release.bind(view);
  return Object.assign(view, {
    release: async (place: string, epoch: number) => {
      if (!dead.has(view.node)) await release(place, epoch);
    },
  });
}

/** The store stays open until the last node has closed it. */
function unclosed(store: MemoryStore): MemoryStore {
  return new Proxy(store, {
    get: (target, key) => {
      if (key === 'close') return async () => undefined;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}
