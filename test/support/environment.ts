/**
 * Settings of the user who runs the tests that would affect Portal, Node or a peer: proxies, PORTAL_HOME,
 * NODE_OPTIONS. Tests set their own. Properties of the machine stay, and tests must pass with any: the home, the
 * locale, the time zone, the umask, the folder for temporary files.
 */
const SETTINGS = [
  /^PORTAL_(?!TEST_|SCREENSHOTS$)/,
  /^XDG_/,
  /^(https?|ftp|all|no)_proxy$/i,
  /^NODE_(OPTIONS|PATH|DEBUG|TLS_REJECT_UNAUTHORIZED|USE_ENV_PROXY|REPL_\w+)$/,
  /^(NO_COLOR|FORCE_COLOR|CLICOLOR|CLICOLOR_FORCE)$/,
  /^(LISTEN_(PID|FDS|FDNAMES)|NOTIFY_SOCKET)$/,
  /^(BASH_ENV|ENV|CDPATH|GREP_OPTIONS|CURL_HOME)$/,
];

/** The names in `environment` that tests must not inherit. */
export function settingsIn(environment: NodeJS.ProcessEnv): string[] {
  return Object.keys(environment).filter((name) => SETTINGS.some((setting) => setting.test(name)));
}

/** Before the workers start: they inherit this process's environment, and so does every program that a test starts. */
export default function setup(): void {
  for (const name of settingsIn(process.env)) delete process.env[name];
  // Tests use relays and variables freely. Tests of the permission question unset it.
  process.env['PORTAL_ALLOW'] = '1';
}
