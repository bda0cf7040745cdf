import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { silent, type Logger } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import { Descriptors, limitsFor, warnOfFewDescriptors } from './descriptors.js';

const socketOf = (fd: number | undefined): Duplex => ({ _handle: { fd } }) as unknown as Duplex;

function listening() {
  const said: [fields: object, message: string][] = [];
  const log: Logger = { ...silent, warn: (fields, message) => said.push([fields, message]) };
  return { log, said };
}

describe('limits', () => {
  it('have their defaults with many or unlimited descriptors', () => {
    for (const descriptors of [undefined, 524_288])
      expect({ ...LIMITS, ...limitsFor(LIMITS, descriptors) }).toEqual(LIMITS);
  });

  it('leave room for each other with few descriptors', () => {
    expect(limitsFor(LIMITS, 1_024)).toEqual({
      maxUnroutedConnections: 224,
      maxRequestConnections: 112,
      maxSessions: 448,
      maxConnectionsPerAddress: 448,
      maxVisitorsPerIdentity: 224,
      maxHopConnections: 224,
    });
    expect(Math.min(...Object.values(limitsFor(LIMITS, 1)))).toBe(1);
  });

  it('are logged if they are lower than the default, or set too high', () => {
    const { log, said } = listening();
    warnOfFewDescriptors(524_288, {}, log);
    warnOfFewDescriptors(undefined, {}, log);
    expect(said).toEqual([]);
    warnOfFewDescriptors(1_024, { maxSessions: 5_000, maxHopConnections: 10 }, log);
    expect(said.map(([fields]) => fields)).toMatchObject([
      { descriptors: 1_024, limits: { maxUnroutedConnections: 224 } },
      { descriptors: 1_024, suggested: { maxSessions: 448 } },
    ]);
    expect(said[0]![0]).not.toMatchObject({ limits: { maxSessions: expect.anything() } });
  });
});

describe('descriptors', () => {
  it('run out for visitors first, then for data connections, then for others, and a reserve stays', () => {
    const { log, said } = listening();
    const descriptors = new Descriptors(1_024, log);
    const admitted = (fd: number) => [
      descriptors.admitsVisitor(socketOf(fd)),
      descriptors.admitsData(socketOf(fd)),
      descriptors.admits(socketOf(fd)),
    ];
    expect(admitted(895)).toEqual([true, true, true]);
    expect(admitted(896)).toEqual([false, true, true]);
    expect(admitted(928)).toEqual([false, false, true]);
    expect(admitted(960)).toEqual([false, false, false]);
    expect(descriptors.refused).toBe(6);
    // Waiting visitors need one more each.
    expect(descriptors.admitsVisitor(socketOf(800), 95)).toBe(true);
    expect(descriptors.admitsVisitor(socketOf(800), 96)).toBe(false);
    // Logged once in a while, not per connection.
    expect(said).toEqual([[{ limit: 1_024, refused: 1 }, expect.stringContaining('file descriptors')]]);
  });

  it('never run out without a limit, or if a socket has no number', () => {
    expect(new Descriptors(undefined, silent).admits(socketOf(1e6))).toBe(true);
    const few = new Descriptors(1, silent);
    expect([undefined, -1].map((fd) => few.admits(socketOf(fd)))).toEqual([true, true]);
    expect(few.admits({} as Duplex)).toBe(true);
  });
});
