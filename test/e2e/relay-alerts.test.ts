import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { METRICS, VISITOR_WAIT } from '../../src/relay/metrics/table.js';
import { programFor } from '../support/debian.js';

/** The alerts that docs/guides/operate-a-relay.md recommends: each can fire, and uses existing metrics. */

const run = promisify(execFile);
const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const RULES = 'deploy/portal-relay.rules.yml';
const TESTS = 'test/fixtures/portal-relay.rules.test.yml';

interface Rules {
  groups: { rules: { alert: string; expr: string }[] }[];
}

interface RuleTests {
  tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
}

const rules = async () =>
  (parse(await readFile(at(RULES), 'utf8')) as Rules).groups.flatMap((group) => group.rules);

describe('alerts', () => {
  it('fire when they should, and only then', async (context) => {
    const promtool = await programFor(context, 'promtool');
    await expect(run(promtool, ['check', 'rules', at(RULES)])).resolves.toBeDefined();
    await expect(run(promtool, ['test', 'rules', at(TESTS)])).resolves.toBeDefined();
  });

  it('all have tests, firing and silent', async () => {
    const { tests } = parse(await readFile(at(TESTS), 'utf8')) as RuleTests;
    const tested = tests.flatMap((test) => test.alert_rule_test);
    const names = (await rules()).map(({ alert }) => alert).toSorted();
    const of = (fires: boolean): string[] =>
      tested
        .filter(({ exp_alerts: alerts = [] }) => alerts.length > 0 === fires)
        .map(({ alertname }) => alertname);
    expect(of(true).toSorted()).toEqual(names);
    expect(of(false).toSorted()).toEqual(names);
  });

  it('are those of docs/guides/operate-a-relay.md', async () => {
    const text = await readFile(at('docs/guides/operate-a-relay.md'), 'utf8');
    const documented = [...text.matchAll(/^\| `(PortalRelay\w+)` +\| `([^`]+)`/gm)].map(([, alert, expr]) => [
      alert,
      expr,
    ]);
    expect(documented).toEqual((await rules()).map(({ alert, expr }) => [alert, expr]));
  });

  it('use metrics of a relay', async () => {
    const known = [...METRICS.map(({ name }) => name), `${VISITOR_WAIT.name}_bucket`];
    for (const { alert, expr } of await rules())
      for (const [name] of expr.matchAll(/\bportal_\w+/g))
        expect([alert, known]).toEqual([alert, expect.arrayContaining([name])]);
  });
});
