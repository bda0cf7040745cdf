/**
 * A shell command that prints the service names of the configuration in this folder, one per line. Prints nothing if
 * it has errors.
 */
export const SERVICES_COMMAND = String.raw`portal validate --json 2>/dev/null | sed -n 's/.*"services":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' ' '`;
