import { expect, it } from 'vitest';
import { silent } from '../../lib/logger.js';
import { machineLog } from './machine-log.js';
import { ALONE, type Cluster } from './nodes.js';

/** The nodes among `others` and `node` that log a warning. */
function warned(names: readonly string[], sharesPorts: boolean): string[] {
  const lines: string[] = [];
  for (const node of names) {
    const others = names.filter((name) => name !== node);
    const cluster = { sharesPorts, directory: { node }, nodes: { ...ALONE, others } } as unknown as Cluster;
    const log = { ...silent, warn: () => void lines.push(node) };
    machineLog(log, cluster).warn({}, 'the clock is wrong');
  }
  return lines;
}

it('lets one of several workers warn: the one that has run longest', () => {
  expect(warned(['w10', 'w2', 'w9'], true)).toEqual(['w2']);
  expect(warned(['w10'], true)).toEqual(['w10']);
});

it('lets every machine warn', () => {
  expect(warned(['b', 'a'], false)).toEqual(['b', 'a']);
  const lines: string[] = [];
  machineLog({ ...silent, warn: (_fields, message) => void lines.push(message) }, undefined).warn(
    {},
    'alone',
  );
  expect(lines).toEqual(['alone']);
});
