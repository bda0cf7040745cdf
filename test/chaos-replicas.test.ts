import { describe, expect, it } from 'vitest';
import {
  ALICE,
  BOB,
  CAROL,
  failed,
  fault,
  lease,
  served,
  START,
  violationsOf,
  type Entry,
  type History,
} from './support/cluster-history.js';

/** The checks of `npm run chaos -- --cluster` for public ports and replicas. Carol has the agents r1 and r2. */

describe('public ports', () => {
  it('reports a port that two leases of a node have', () => {
    expect(
      violationsOf(({ changes }) => {
        changes.push(portLease('INSERT', 'game', ALICE, START + 6_000));
        changes.push(portLease('INSERT', 'chat', BOB, START + 7_000));
      }),
    ).toEqual(['a port has one owner']);
  });

  it('allows the next owner of a port to serve', () => {
    expect(violationsOf(portMoves)).toEqual([]);
  });

  it('reports a visitor of a port who reaches its former owner', () => {
    expect(
      violationsOf((history) => {
        portMoves(history);
        history.requests.push(portVisit(START + 21_000, 'a1'));
      }),
    ).toEqual(['no stranger']);
  });
});

describe('replicas', () => {
  it('allows each of them to serve', () => {
    expect(
      violationsOf((history) => {
        haveReplicas('all', history);
        history.requests.push(visit('all', START + 6_000, 'r1'), visit('all', START + 7_000, 'r2'));
      }),
    ).toEqual([]);
  });

  it('reports a lease of another owner beside them', () => {
    expect(
      violationsOf((history) => {
        haveReplicas('all', history);
        history.changes.push({ ...lease('INSERT', BOB, 30, START + 6_000), key: 'all.relay.test #3333' });
      }),
    ).toEqual(['one owner']);
  });

  it('reports a visitor who reaches another identity', () => {
    expect(
      violationsOf((history) => {
        haveReplicas('all', history);
        history.requests.push(visit('all', START + 6_000, 'b1'));
      }),
    ).toEqual(['no stranger']);
  });

  it('reports a visitor who is lost later than the replica', () => {
    expect(violationsOf(lostAt(START + 9_000))).toEqual([]);
    expect(violationsOf(lostAt(START + 13_000))).toEqual(['visitors avoid a dead replica']);
  });

  it('reports a visitor of the second replica while the first one serves with failover', () => {
    expect(violationsOf(bothServe)).toEqual(['failover stays']);
    expect(
      violationsOf((history) => {
        bothServe(history);
        history.faults.push(fault('replica-freeze', ['r1', 'r2'], START + 30_000, START + 60_000));
      }),
    ).toEqual([]);
  });

  it('reports a replica that gets no visitor with spread', () => {
    expect(
      violationsOf((history) => {
        haveReplicas('all', history);
        for (let index = 0; index < 50; index++)
          history.requests.push(visit('all', START + 6_000 + index, 'r1'));
      }),
    ).toEqual(['spread over all replicas']);
  });
});

function portLease(op: string, name: string, owner: string, at: number): Entry {
  return { ...lease(op, owner, at, at, 'X1'), key: `tcp ${name}.relay.test`, port: 20_000 };
}

function portVisit(at: number, owner: string): Entry {
  const visited = served({ at, owner, lane: 'game@n1:20000', name: 'game', node: 'n1' });
  return { ...visited, publicPort: { kind: 'tcp', port: 20_000 } };
}

/** A port of Alice's becomes one of Bob's. */
function portMoves({ changes, requests }: History): void {
  changes.push(
    portLease('INSERT', 'game', ALICE, START + 6_000),
    portLease('DELETE', 'game', ALICE, START + 8_000),
    portLease('INSERT', 'chat', BOB, START + 9_000),
  );
  requests.push(portVisit(START + 7_000, 'a1'), portVisit(START + 20_000, 'b1'));
}

function haveReplicas(name: string, { changes }: History): void {
  for (const [index, instance] of ['1111', '2222'].entries())
    changes.push({
      ...lease('INSERT', CAROL, 20 + index, START),
      key: `${name}.relay.test #${instance}`,
    });
}

/** r1 is killed, and a visitor fails who comes at `at`. */
function lostAt(at: number): (history: History) => void {
  return (history) => {
    haveReplicas('all', history);
    history.faults.push(fault('replica-kill', ['r1', 'r2'], START + 9_000, START + 15_000));
    history.requests.push({ ...failed({ at }), lane: 'all@lb', name: 'all' });
  };
}

function bothServe(history: History): void {
  haveReplicas('both', history);
  history.requests.push(visit('both', START + 40_000, 'r1'), visit('both', START + 42_000, 'r2'));
}

function visit(name: string, at: number, owner: string): Entry {
  return served({ at, owner, lane: `${name}@lb`, name });
}
