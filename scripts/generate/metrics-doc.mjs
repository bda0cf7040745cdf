/** docs/reference/metrics.md: the metrics of a relay, and of an agent. */
export function renderMetricsDoc(ofRelay, ofAgent) {
  return `<!-- Generated from src/relay/metrics/table.ts and src/reconcile/metrics.ts by scripts/generate.mjs: edit those files. -->

# Metrics

A relay and an agent serve metrics for [Prometheus](https://prometheus.io/) and other programs that read its format, with \`--metrics <address>\`. A port
alone listens on loopback. An address such as \`10.0.0.5:9464\` serves every client that can reach it, over plain HTTP and
without a password. Metrics are read when a client requests them; between two requests, only the histogram costs anything.

Both also export the metrics \`process_*\` and \`nodejs_*\` of [prom-client](https://github.com/siimon/prom-client). They are CPU, resident
memory, open file descriptors and their limit, heap, garbage collection, and event loop lag
(\`nodejs_eventloop_lag_p99_seconds\`).

## Of a relay

\`portal relay --metrics 9464\` serves these metrics at \`http://127.0.0.1:9464/metrics\`. \`/healthz\` responds with \`ok\`.

Labels contain nothing about tenants or visitors: no hostname, no address, no identity. A counter with a label for the
outcome has a series only after that outcome has occurred once. [Operate a relay](../guides/operate-a-relay.md#metrics-and-alerts) recommends alerts.

${ofRelay.map(render).join('\n\n')}

## Of an agent

\`portal up --metrics 9465\` serves these metrics at \`http://127.0.0.1:9465/metrics\`, and so does \`portal expose\`. Two more pages are for supervisors
and load balancers:

- \`/healthz\` responds with \`ok\` as long as the process responds.
- \`/ready\` responds with \`ok\` once every service is ready, as \`portal status --wait-ready\` does. Until then it responds with 503 and one line for
  each service that is not. A target that is down does not change it: the metric \`portal_agent_target_up\` shows that.

Labels name services, targets and relays of the configuration. They contain nothing about visitors.

${ofAgent.map(render).join('\n\n')}
`;
}

function render({ name, type, help, labels = {}, buckets }) {
  return [
    `### \`${name}\``,
    `${type[0].toUpperCase()}${type.slice(1)}. ${help}`,
    ...(buckets ? [`Buckets up to ${buckets.join(', ')} seconds.`] : []),
    ...(Object.keys(labels).length > 0
      ? [
          [
            '| label | description |',
            '|---|---|',
            ...Object.entries(labels).map(([label, what]) => `| \`${label}\` | ${what} |`),
          ].join('\n'),
        ]
      : []),
  ].join('\n\n');
}
