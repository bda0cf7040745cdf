/** One entry of RULES: see rules.mjs. */
export function rule(pattern, say, wrong, right) {
  return { pattern, say, wrong, right };
}
