/**
 * Whether a line is about an earlier lease of the same service on the same relay, whose last visitors finish while the
 * `present` one is open. A lease that reconnects has its former id until it is ready again.
 */
export function isOfFormer(present, { phase, lease }) {
  if (present === undefined || present.lease === lease) return false;
  return phase === 'closed' || (phase === 'draining' && present.phase === 'ready');
}
