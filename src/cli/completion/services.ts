/** A shell line that prints the service names of the configuration here, a word each; nothing when it has errors. */
export const SERVICES_COMMAND = String.raw`portal validate --json 2>/dev/null | sed -n 's/.*"services":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' ' '`;
