import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { MetricValues } from '../../src/metrics/exporter.js';
import { createMetrics } from '../../src/relay/metrics/metrics.js';
import { METRICS, VISITOR_WAIT, WORKER_METRICS } from '../../src/relay/metrics/table.js';
import { programFor } from '../support/debian.js';
import { temporaryFolder } from '../support/folder.js';

/** The alerts that the guides recommend, and the dashboard: each alert can fire, and all use existing metrics. */

const run = promisify(execFile);
const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const RULES = 'deploy/portal-relay.rules.yml';
const TESTS = 'test/fixtures/portal-relay.rules.test.yml';
const DASHBOARD = 'deploy/grafana-dashboard.json';
const GUIDES = ['docs/guides/operate-a-relay.md', 'docs/guides/several-nodes.md'];

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

  it('are those of the guides', async () => {
    const text = (await Promise.all(GUIDES.map((guide) => readFile(at(guide), 'utf8')))).join('\n');
    const documented = [...text.matchAll(/^\| `(PortalRelay\w+)` +\| `([^`]+)`/gm)].map(([, alert, expr]) => [
      alert,
      expr,
    ]);
    expect(documented).toEqual((await rules()).map(({ alert, expr }) => [alert, expr]));
  });

  it('use metrics of a relay', async () => {
    for (const { alert, expr } of await rules()) expect([alert, await unknown(expr)]).toEqual([alert, []]);
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

describe('the dashboard', () => {
  const { panels, templating } = JSON.parse(readFileSync(at(DASHBOARD), 'utf8')) as Dashboard;
  const shown = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
  );

  it('uses metrics of a relay', async () => {
    expect(shown.length).toBeGreaterThan(20);
    for (const { title, expr } of shown) expect([title, await unknown(expr)]).toEqual([title, []]);
    const variables = templating.list.map(({ name }) => name);
    for (const { query } of templating.list) expect(await unknown(query)).toEqual([]);
    const used = shown.flatMap(({ expr }) => [...expr.matchAll(/\$(?!__)(\w+)/g)].map(([, name]) => name));
    expect(variables).toEqual(expect.arrayContaining(used));
  });

  it('shows the metrics of alerts', async () => {
    const text = shown.map(({ expr }) => expr).join('\n');
    const missing = (await rules())
      .flatMap(({ expr }) => namesIn(expr))
      .filter((name) => !text.includes(name));
    // A dashboard of a relay that is down shows nothing, and Prometheus lists its targets.
    expect(missing.filter((name) => name !== 'up')).toEqual([]);
  });

  it('shows each series under a name of its own', () => {
    for (const { title, expr, legendFormat } of shown) {
      const labels = /\bby \(([^)]*)\)/.exec(expr)?.[1]!.split(', ') ?? ['instance'];
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
      expect([title, named.filter((label) => !labels.includes(label))]).toEqual([title, []]);
    }
  });

  it('has no panels that overlap', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { h, w, x, y } }) =>
      Array.from({ length: h * w }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  it('has valid expressions', async (context) => {
    const promtool = await programFor(context, 'promtool');
    const file = join(await temporaryFolder(), 'dashboard.yml');
    const recorded = shown.map(({ expr }, index) => ({
      record: `panel_${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    await writeFile(file, stringify({ groups: [{ name: 'dashboard', rules: recorded }] }));
    await expect(run(promtool, ['check', 'rules', file])).resolves.toBeDefined();
  });
});

/** The metrics in an expression. */
function namesIn(expr: string): string[] {
  return [...expr.matchAll(/\b(?:(?:portal|process|nodejs)_\w+|up(?=\{))/g)].map(([name]) => name);
}

let ofProcess: Promise<MetricValues> | undefined;

/** The metrics in an expression that a relay does not have. */
async function unknown(expr: string): Promise<string[]> {
  ofProcess ??= createMetrics({ version: '1', node: 'v20' }).then((own) => own.values());
  const names = [...METRICS, ...WORKER_METRICS, ...(await ofProcess)].map(({ name }) => name);
  const known = new Set([...names, `${VISITOR_WAIT.name}_bucket`, 'up']);
  return namesIn(expr).filter((name) => !known.has(name));
}
