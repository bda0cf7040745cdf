import { describe, expect, it } from 'vitest';
import {
  ALICE,
  BOB,
  failed,
  fault,
  lease,
  loadCluster,
  served,
  START,
  violationsOf,
  type Entry,
  type History,
} from './support/cluster-history.js';

/** The checks of `npm run chaos -- --cluster`: each sees a violation in a recorded history, and none in one without. */

const { CLUSTER_FAULTS } = await loadCluster<{ CLUSTER_FAULTS: { targets: string[] }[] }>('faults.mjs');
const { shapeOf } = await loadCluster<{ shapeOf: (this: void, counts: object) => Record<string, unknown[]> }>(
  'shape.mjs',
);

const MONTH_MS = 30 * 24 * 3_600_000;

/** A visitor fails at the moment at which `node` is killed. */
const killedAt =
  (node: string) =>
  ({ faults, requests }: History): void => {
    faults.push(fault('node-kill', node, START + 10_020, START + 12_000));
    requests.push(failed({ at: START + 10_000 }));
  };
/** The balancer has no node for a visitor. */
function refused({ entries, requests }: History): void {
  requests.push(failed({ at: START + 10_000 }));
  entries.push({ at: START + 10_050, port: 1, server: '<NOSRV>', state: 'SC' });
}
/** The other nodes count n1 as lost. */
function lost({ faults, changes }: History): void {
  faults.push(fault('cut-database-long', 'n1', START + 9_000, START + 25_000));
  changes.push({ at: START + 18_000, what: 'lost_nodes', op: 'INSERT', key: 'X1', node: 'X1' });
}
const gaveUp = (at: number): Entry => ({
  at,
  node: 'n1',
  level: 'error',
  msg: 'this node could not renew itself in the database in time: it gives up its leases',
});

/** Alice's agent reports a port at n2, and a visitor reaches `owner` there. The database stops between the lease and its port. */
const visited =
  (owner: string) =>
  ({ changes, leases, requests }: History): void => {
    const at = START + 6_000;
    changes.push({ ...lease('INSERT', ALICE, 11, at), key: 'udp web.relay.test' });
    leases.push({
      at: at + 50,
      agent: 'a1',
      service: 'web',
      name: 'web',
      phase: 'ready',
      address: '10.0.0.2:21000',
    });
    const publicPort = { kind: 'udp', port: 21_000 };
    requests.push(
      served({ lane: 'web@n2:21000', name: 'web', node: 'n2', publicPort, at: START + 9_000, owner }),
    );
  };

/** A visitor of a node that is cut off from the database reaches the agent that released the name `ms` before. */
const afterRelease =
  (ms: number, ...later: ReturnType<typeof lease>[]) =>
  ({ changes, requests, faults }: History): void => {
    faults.push(fault('cut-database-long', 'n1', START + 8_000, START + 24_000));
    changes.push(lease('DELETE', ALICE, 10, START + 10_000), ...later);
    requests.push(
      served({
        lane: 'web@n1',
        node: 'n1',
        at: START + 10_000 + ms,
        joinedAt: START + 10_005 + ms,
        end: START + 10_010 + ms,
      }),
    );
  };

/** Alice's agent returns late, so that its name is free for a while. Node n1 waited `ms` for a CPU. */
const released =
  (ms: number) =>
  ({ faults, requests, delays }: History): void => {
    faults.push(fault('node-kill', 'n1', START + 9_000, START + 12_000));
    delays.push({ at: START + 20_000, forMs: 10_000, delays: { n1: ms } });
    requests.push(failed({ at: START + 26_000, end: START + 27_000, error: 'EPROTO, alert 112' }));
  };

it('finds nothing in a history in which nothing fails', () => {
  expect(violationsOf(() => undefined)).toEqual([]);
});

describe('one owner', () => {
  it('reports a lease that passes to another owner without being free between', () => {
    expect(
      violationsOf(({ changes, requests }) => {
        requests.pop();
        changes.push(lease('UPDATE', BOB, 11, START + 10_000));
      }),
    ).toEqual(['one owner']);
  });

  it('reports a visitor that reaches the former owner', () => {
    expect(
      violationsOf(({ changes, requests }) => {
        changes.push(lease('DELETE', ALICE, 10, START + 10_000), lease('INSERT', BOB, 11, START + 20_000));
        requests.push(served({ at: START + 30_000 }));
      }),
    ).toEqual(['no stranger']);
  });

  it('reports a paused node that lets a visitor through after another owner got the name', () => {
    expect(
      violationsOf(({ changes, requests, faults }) => {
        faults.push(fault('node-sleep', 'n1', START + 6_000, START + 30_000));
        changes.push(lease('DELETE', ALICE, 10, START + 20_000), lease('INSERT', BOB, 11, START + 21_000));
        // It connected to the paused node, and was joined when the node woke.
        requests.push(
          served({
            lane: 'web@n1',
            node: 'n1',
            at: START + 25_000,
            joinedAt: START + 30_010,
            end: START + 30_100,
          }),
        );
      }),
    ).toContain('no stranger');
  });

  it('allows the response to a visitor that was joined before the pause', () => {
    expect(
      violationsOf(({ changes, requests, faults }) => {
        faults.push(fault('node-sleep', 'n1', START + 6_000, START + 30_000));
        changes.push(lease('DELETE', ALICE, 10, START + 20_000), lease('INSERT', BOB, 11, START + 21_000));
        requests.push(served({ at: START + 5_900, joinedAt: START + 30_010, end: START + 30_100 }));
      }),
    ).not.toContain('no stranger');
  });

  it('allows the last owner at a node that cannot hear of the release, for its time to live', () => {
    expect(violationsOf(afterRelease(7_000))).toEqual([]);
    expect(violationsOf(afterRelease(9_000))).toEqual(['no stranger']);
  });

  it('reports the last owner there once another one has the name', () => {
    expect(violationsOf(afterRelease(7_000, lease('INSERT', BOB, 11, START + 11_000)))).toContain(
      'no stranger',
    );
  });

  it('reports bytes of another visitor', () => {
    expect(
      violationsOf(({ requests }) => void requests.push(served({ at: START + 6_000, wrong: 'byte 3' }))),
    ).toEqual(['no stranger']);
  });
});

describe('the visitors of a public port', () => {
  it('reach the agent that reported the port, although the database does not know the port yet', () => {
    expect(violationsOf(visited('a1'))).toEqual([]);
  });

  it('are reported if they reach another agent', () => {
    expect(violationsOf(visited('b1'))).toEqual(['no stranger']);
  });
});

describe('epochs and late writes', () => {
  it('reports an epoch that falls, even over a release', () => {
    expect(
      violationsOf(({ changes }) => {
        changes.push(lease('DELETE', ALICE, 10, START + 6_000), lease('INSERT', ALICE, 9, START + 6_500));
      }),
    ).toEqual(['epochs rise']);
  });

  it('reports a claim of a node that the others counted as lost', () => {
    expect(
      violationsOf(({ changes }) => {
        changes.push({
          at: START + 6_000,
          what: 'nodes',
          op: 'DELETE',
          key: 'X2',
          owner: '10.0.0.2:7443',
          node: 'X2',
        });
        changes.push(lease('UPDATE', ALICE, 11, START + 7_000));
      }),
    ).toEqual(['no late writes']);
  });
});

describe('reservations', () => {
  it('reports an acknowledged one that is missing at the end', () => {
    expect(violationsOf(() => undefined, [])).toEqual(['reservations stay']);
  });

  it('reports one that another identity gets before its end', () => {
    expect(
      violationsOf(({ changes }) => {
        changes.push({
          at: START + 9_000,
          what: 'reservations',
          op: 'UPDATE',
          key: 'web',
          owner: BOB,
          number: START,
        });
      }),
    ).toEqual(['reservations stay']);
  });

  it('allows another identity once it has expired', () => {
    expect(
      violationsOf(
        ({ changes, leases }) => {
          changes[3]!['number'] = START - MONTH_MS + 5_000;
          changes.push({
            at: START + 9_000,
            what: 'reservations',
            op: 'UPDATE',
            key: 'web',
            owner: BOB,
            number: START,
          });
          leases.push({ at: START + 9_000, agent: 'b1', service: 'web', name: 'web', phase: 'ready' });
        },
        [{ name: 'web', address: BOB, usedAt: START }],
      ),
    ).toEqual([]);
  });
});

describe('visitors', () => {
  it.each([
    ['without a fault', [], 'visitors are served'],
    [
      'while a node stops gracefully',
      [fault('node-stop', 'n2', START + 9_000, START + 12_000)],
      'a graceful stop loses nobody',
    ],
    [
      'while the database does not respond',
      [fault('database-silent', 'database', START + 9_000, START + 12_000)],
      'visitors go on without the database',
    ],
    [
      'after a node was killed',
      [fault('node-kill', 'n1', START + 9_000, START + 12_000)],
      'served within 10 s of a crash',
    ],
    [
      'after the cable of a node was unplugged',
      [fault('cut-off', 'n1', START + 9_000, START + 20_000)],
      'served within 10 s of a crash',
    ],
  ])('reports one that is not served %s', (_when, faults, promise) => {
    expect(
      violationsOf((history) => {
        history.faults.push(...faults);
        history.requests.push(failed({ at: START + 10_000 }));
      }),
    ).toEqual([promise]);
  });

  it('reports one that waits longer than 10 s after a node was killed', () => {
    expect(
      violationsOf(({ faults, requests }) => {
        faults.push(fault('node-kill', 'n1', START + 9_000, START + 12_000));
        requests.push(served({ at: START + 10_000, joinedAt: START + 21_000, end: START + 21_500 }));
      }),
    ).toEqual(['served within 10 s of a crash']);
  });

  it('does not count the time in which the machine did not run the processes', () => {
    expect(
      violationsOf(({ faults, requests, delays }) => {
        faults.push(fault('node-kill', 'n1', START + 9_000, START + 12_000));
        requests.push(served({ at: START + 10_000, joinedAt: START + 21_000, end: START + 21_500 }));
        delays.push({ at: START + 15_000, forMs: 250, delays: { n1: 900, n2: 700 } });
      }),
    ).toEqual([]);
  });

  it('does not count that no node met the checks of the balancer for lack of CPU time', () => {
    expect(violationsOf(refused)).toEqual(['visitors are served']);
    expect(
      violationsOf((history) => {
        refused(history);
        history.delays.push({ at: START + 9_000, forMs: 6_000, delays: { n1: 4_000 } });
      }),
    ).toEqual([]);
  });

  it('does not count that an agent returned late for lack of CPU time, and that its name was free meanwhile', () => {
    expect(violationsOf(released(9_000))).toEqual([]);
    expect(violationsOf(released(7_000))).toEqual(['visitors are served']);
  });

  it('excuses one on its way through a node that is killed, and no other', () => {
    expect(violationsOf(killedAt('n1'))).toEqual([]);
    expect(violationsOf(killedAt('n3'))).toEqual(['served within 10 s of a crash']);
  });
});

/** A stream that ends as it should, with `entry`. */
const streamed = (entry: Entry): Entry => ({
  lane: 'web@lb',
  name: 'web',
  port: 1,
  at: START + 5_000,
  joinedAt: START + 5_100,
  end: START + 15_000,
  bytes: 4_096,
  owner: 'a1',
  how: 'whole',
  ...entry,
});

describe('streams', () => {
  const outage = fault('database-kill', 'database', START + 9_000, START + 12_000);
  const moving = Array.from({ length: 10 }, (_, index) => ({
    lane: 'web@lb',
    at: START + 5_500 + index * 1_000,
  }));

  it('reports one that ends while the database does not respond', () => {
    expect(
      violationsOf(({ faults, streams, moved }) => {
        faults.push(outage);
        moved.push(...moving);
        streams.push(streamed({ how: 'broken', detail: 'ECONNRESET', end: START + 10_000 }));
      }),
    ).toEqual(['visitors go on without the database']);
  });

  it('reports one that does not move while the database does not respond', () => {
    expect(
      violationsOf(({ faults, streams, moved }) => {
        faults.push(outage);
        moved.push(...moving.slice(0, 3));
        streams.push(streamed({}));
      }),
    ).toEqual(['visitors go on without the database']);
  });

  it('finds nothing in one that moves', () => {
    expect(
      violationsOf(({ faults, streams, moved }) => {
        faults.push(outage);
        moved.push(...moving);
        streams.push(streamed({}));
      }),
    ).toEqual([]);
  });
});

describe('nodes and agents', () => {
  it('reports a node that gives up although no node can use the database', () => {
    expect(
      violationsOf(({ faults, logs }) => {
        faults.push(fault('database-silent', 'database', START + 9_000, START + 25_000));
        logs.push(gaveUp(START + 18_000));
      }),
    ).toEqual(['visitors go on without the database']);
  });

  it('reports a node that the others counted as lost, and that does not give up', () => {
    expect(violationsOf(lost)).toEqual(['a paused node gives up']);
    expect(
      violationsOf((history) => {
        lost(history);
        history.logs.push(gaveUp(START + 17_000));
      }),
    ).toEqual([]);
  });

  it('reports an agent that does not retry although nobody else has the name', () => {
    expect(
      violationsOf(({ leases }) => {
        leases.push({
          at: START + 9_000,
          agent: 'a1',
          service: 'web',
          name: 'web',
          phase: 'failed',
          code: 'name_taken',
        });
        leases.push({
          at: START + 9_500,
          agent: 'a1',
          service: 'web',
          name: 'web',
          phase: 'retrying',
          code: 'relay_busy',
        });
      }),
    ).toEqual(['refused with a code that agents retry']);
  });
});

it('has a target for every kind of fault', () => {
  const shape = shapeOf({ agents: 3, racers: 2, replicas: 2 });
  for (const { targets } of CLUSTER_FAULTS)
    for (const role of targets) expect(shape[`${role}s`]).not.toHaveLength(0);
});
