/** What to write in portal.yaml for a relay with a private CA: one line of YAML that can be pasted. */
export function relayYaml(url: string, ca: string): string {
  return `relays: { urls: [{ url: ${scalar(url)}, ca: ${scalar(ca)} }] }`;
}

/** A text as a value in YAML, in double quotes where YAML needs them. JSON strings are YAML. */
export const scalar = (text: string): string => (/^[\w./~:-]*[\w]$/.test(text) ? text : JSON.stringify(text));
