import { describe, expect, it, onTestFinished } from 'vitest';
import type { NodeMethods, Nodes } from './nodes.js';
import { Outage } from './outage.js';

/** A node whose others answer as `answers` says; undefined: the node does not respond. */
function outage(answers: () => readonly (boolean | undefined)[], isConnected = () => false) {
  let methods: NodeMethods = {};
  let asked = 0;
  const nodes: Nodes = {
    get others() {
      return answers().map((_, index) => `n${index}`);
    },
    call: async (node) => {
      asked++;
      const answer = answers()[Number(node.slice(1))];
      if (answer === undefined) throw new Error('no response');
      return answer;
    },
    tell: () => undefined,
    serve: (served) => void (methods = served),
    onLeft: () => undefined,
  };
  const found = new Outage({ nodes, isConnected, everyMs: 5 });
  onTestFinished(() => found.close());
  return { found, asked: () => asked, answer: () => methods['usesDatabase']!('n0') };
}

describe('an outage of the database', () => {
  it('affects all nodes if all others report it', async () => {
    const { found } = outage(() => [false, false]);
    await expect.poll(() => found.at).toBeDefined();
  });

  it.each([{ answers: [false, true] }, { answers: [false, undefined] }])(
    'may be one of this node if the others answer $answers',
    async ({ answers }) => {
      const { found, asked } = outage(() => answers);
      await expect.poll(asked).toBeGreaterThan(6);
      expect(found.at).toBeUndefined();
    },
  );

  it('asks no one without other nodes, or while this node is connected', async () => {
    const control = outage(() => [true]);
    const [alone, connected] = [
      outage(() => []),
      outage(
        () => [false],
        () => true,
      ),
    ];
    await expect.poll(control.asked).toBeGreaterThan(3);
    expect([alone.found.at, connected.found.at, connected.asked()]).toEqual([undefined, undefined, 0]);
  });

  it('is no longer new once another node uses the database again', async () => {
    let answers = [false];
    const { found, asked } = outage(() => answers);
    await expect.poll(() => found.at).toBeDefined();
    answers = [true];
    const before = asked();
    await expect.poll(asked).toBeGreaterThan(before + 1);
    const { at } = found;
    await expect.poll(asked).toBeGreaterThan(before + 4);
    expect(found.at).toBe(at);
  });

  it('is what this node says when others ask', async () => {
    let isConnected = true;
    const { answer } = outage(
      () => [],
      () => isConnected,
    );
    expect(await answer()).toBe(true);
    isConnected = false;
    expect(await answer()).toBe(false);
  });
});
