/** docs/reference/metrics.md: the metrics of a relay. */
export function renderMetricsDoc(metrics) {
  const sections = metrics.map(({ name, type, help, labels = {}, buckets }) =>
    [
      `## \`${name}\``,
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
    ].join('\n\n'),
  );
  return `<!-- Generated from src/relay/metrics/table.ts by scripts/generate.mjs: edit that file. -->

# Metrics of a relay

\`portal relay --metrics 9464\` serves these metrics at \`http://127.0.0.1:9464/metrics\`, for [Prometheus](https://prometheus.io/) and
other programs that read its format. \`/healthz\` responds with \`ok\`. A port alone listens on loopback. An address such as
\`10.0.0.5:9464\` serves every client that can reach it, over plain HTTP and without a password.

Labels contain nothing about tenants or visitors: no hostname, no address, no identity. A counter with a label for the
outcome has a series only after that outcome has occurred once. Metrics are read when a client requests them; between
two requests, only the histogram costs anything.

The relay also exports the metrics \`process_*\` and \`nodejs_*\` of [prom-client](https://github.com/siimon/prom-client). They are CPU, resident
memory, open file descriptors and their limit, heap, garbage collection, and event loop lag
(\`nodejs_eventloop_lag_p99_seconds\`). [Operate a relay](../guides/operate-a-relay.md#metrics-and-alerts) recommends alerts.

${sections.join('\n\n')}
`;
}
