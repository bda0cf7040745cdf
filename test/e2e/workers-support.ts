import type { UrlRelay } from '../../src/agent/spec.js';
import { agent, desired, service, type TestAgent } from '../support/world.js';
import { jsonLines, type Person, type Running } from './cli-support.js';

/** `portal relay --workers 2`: one relay of several processes. */

export interface StartedWorkers {
  readonly running: Running;
  readonly spec: UrlRelay;
  readonly port: number;
  /** The value of a metric, or 0. */
  readonly metric: (series: string) => Promise<number>;
}

export async function startWorkers(operator: Person, ...args: string[]): Promise<StartedWorkers> {
  const own = [
    '--json',
    '--listen',
    '127.0.0.1:0',
    '--metrics',
    '0',
    '--workers',
    '2',
    '--log-level',
    'debug',
  ];
  const running = operator.start(['relay', ...own, ...args]);
  const { url, ca, metrics } = (await running.event('listening')) as unknown as Record<string, string>;
  const listening = JSON.parse(await running.line(/"msg":"relay listening"/)) as { addresses: string[] };
  return {
    running,
    spec: { kind: 'url', url: url!, caFile: ca! },
    port: Number(listening.addresses[0]!.split(':').at(-1)),
    metric: async (series) => {
      const text = await (await fetch(metrics!)).text();
      const found = text.split('\n').find((each) => each.startsWith(`${series} `));
      return Number(found?.slice(series.length + 1) ?? 0);
    },
  };
}

/** The lines of its log so far. */
export function logOf({ stderr }: Running): Record<string, unknown>[] {
  return jsonLines(stderr.slice(0, stderr.lastIndexOf('\n') + 1));
}

/** The processes of the workers that have started, by name. */
export const pidsOf = (running: Running): Map<string, number> =>
  new Map(
    logOf(running)
      .filter(({ msg }) => msg === 'worker started')
      .map(({ node, pid }) => [node as string, pid as number]),
  );

/** The worker that each session of an identity opened at, in order. */
export const nodesOf = (running: Running, identity: string): string[] =>
  logOf(running)
    .filter(({ msg, identity: of }) => msg === 'session open' && of === identity)
    .map(({ node }) => node as string);

/** Agents with the service `name0`, `name1`… of `target`, until there is one at each of the workers. */
export async function agentsAtBoth(
  { running, spec }: StartedWorkers,
  name: string,
  target: number,
): Promise<ReadonlyMap<string, { one: TestAgent; host: string }>> {
  const all = new Map<string, { one: TestAgent; host: string }>();
  for (let index = 0; all.size < 2; index++) {
    const one = await agent();
    await one.runner.apply(desired([spec], service(`${name}${index}`, target)));
    await one.event('ready');
    const node = nodesOf(running, one.identity.address).at(-1)!;
    all.set(node, { one, host: `${name}${index}.localhost` });
  }
  return all;
}
