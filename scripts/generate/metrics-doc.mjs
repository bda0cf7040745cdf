/** docs/reference/metrics.md: what each metric of a relay says. */
export function renderMetricsDoc(metrics) {
  const sections = metrics.map(({ name, type, help, labels = {}, buckets }) =>
    [
      `## \`${name}\``,
      `${type[0].toUpperCase()}${type.slice(1)}. ${help}`,
      ...(buckets ? [`Buckets up to ${buckets.join(', ')} seconds.`] : []),
      ...(Object.keys(labels).length > 0
        ? [
            [
              '| label | what |',
              '|---|---|',
              ...Object.entries(labels).map(([label, what]) => `| \`${label}\` | ${what} |`),
            ].join('\n'),
          ]
        : []),
    ].join('\n\n'),
  );
  return `<!-- Generated from src/relay/metrics/table.ts by scripts/generate.mjs: edit that file. -->

# Metrics of a relay

\`portal relay --metrics 9464\` serves these at \`http://127.0.0.1:9464/metrics\`, for [Prometheus](https://prometheus.io/) and
whatever else reads its format, and \`ok\` at \`/healthz\`. A bare port is on loopback; an address such as \`10.0.0.5:9464\` is
served to whoever reaches it, over plain HTTP and without a password.

No label holds anything of tenants or visitors: no hostname, no address, no identity. A series of a counter whose label tells
what happened begins with the first time that it happens. The reading is done when somebody asks; between two readings,
metrics cost nothing but the histogram.

Beside them stand \`process_*\` and \`nodejs_*\` as [prom-client](https://github.com/siimon/prom-client) has them: CPU, resident
memory, open and possible file descriptors, heap, garbage collection, and how far the event loop lags
(\`nodejs_eventloop_lag_p99_seconds\`). [Operate a relay](../guides/operate-a-relay.md#metrics-and-alerts) says which ones are worth an alert.

${sections.join('\n\n')}
`;
}
