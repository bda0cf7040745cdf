/** Computes figures from runs. */

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function round(value, digits = 4) {
  return Number(value.toPrecision(digits));
}

/**
 * One result: the median of each contender's runs, and the ratio of Portal's to each baseline's. `runs` is {portal:
 * [...], direct: [...], nginx: [...]}. A contender without runs is omitted.
 */
export function result(name, unit, runs, more = {}) {
  const measured = Object.entries(runs).filter(([, values]) => values.length > 0);
  const medians = Object.fromEntries(measured.map(([contender, values]) => [contender, median(values)]));
  const ratio = Object.fromEntries(
    Object.entries(medians)
      .filter(([contender, value]) => contender !== 'portal' && value > 0 && medians.portal !== undefined)
      .map(([contender, value]) => [contender, round(medians.portal / value, 3)]),
  );
  return {
    name,
    unit,
    ...Object.fromEntries(Object.entries(medians).map(([contender, value]) => [contender, round(value)])),
    ...(Object.keys(ratio).length > 0 && { ratio }),
    ...more,
    runs: Object.fromEntries(measured.map(([contender, values]) => [contender, values.map((v) => round(v))])),
  };
}

/** A figure as text, for tables and charts. */
export function figure(value) {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
