import { CONNECTION_HEADERS, FRAMING_HEADERS, HEADER_NAME } from '../../net/http/headers.js';
import type { Report } from './check.js';
import { checkHold } from './hold.js';
import { checkTarget } from './target.js';
import { nearest } from '../words/suggest.js';
import { child, entriesOf, keyPlaceOf, treeAt, type Path, type Tree } from '../text/tree.js';

/** Paths that every program reads in the same way. */
const PLAIN_PATH = /^[A-Za-z0-9\-._~!$&'()*+,=:@/]*$/;

/** Checks the routes of one service. */
export function checkRoutes(root: Tree, path: Path, ownPort: number | undefined, report: Report): void {
  const routes = treeAt(root, path);
  const seen = new Map<string, string>();
  for (const [route, { value }] of entriesOf(routes)) {
    const at = [...path, route];
    const place = keyPlaceOf(routes, route);
    const problem = routeProblem(route);
    if (problem) report(at, { ...problem, place });
    const same = seen.get(withoutSlash(route));
    if (same !== undefined)
      report(at, { message: `this is the same route as ${JSON.stringify(same)}`, place });
    seen.set(withoutSlash(route), route);
    checkTarget(root, value.kind === 'map' ? [...at, 'target'] : at, ownPort, report);
    checkHold(at, value, report);
    checkHasTarget([...at, 'target'], value, route, report);
    for (const key of ['headers', 'responseHeaders']) checkHeaders([...at, key], child(value, key), report);
  }
}

function checkHasTarget(path: Path, route: Tree, prefix: string, report: Report): void {
  if (route.kind !== 'map' || child(route, 'target') || child(route, 'command')) return;
  if ([...entriesOf(route)].some(([key]) => nearest(key, ['target', 'command']))) return;
  report(path, {
    message: `\`target\` is missing in route ${JSON.stringify(prefix)}`,
    hint: 'Add it, for example `target: 3000`, or `command: npm run dev`.',
  });
}

function routeProblem(route: string): { message: string; hint: string } | undefined {
  const glob = /^(\/?[^*]*?)\/?\*+$/.exec(route);
  if (glob) {
    return {
      message: `the route ${JSON.stringify(route)} has a wildcard`,
      hint: `Write \`${glob[1]!.startsWith('/') ? glob[1] : `/${glob[1]}`}\`: a route covers every path below it.`,
    };
  }
  if (!route.startsWith('/')) {
    return {
      message: `the route ${JSON.stringify(route)} does not begin with \`/\``,
      hint: `Write \`/${route}\`.`,
    };
  }
  if (/[?#\s]/.test(route)) {
    return {
      message: `the route ${JSON.stringify(route)} is not a path`,
      hint: 'Write only a path, without query, fragment or spaces.',
    };
  }
  if (!PLAIN_PATH.test(route) || /\/\/|\/\.{1,2}(\/|$)/.test(route)) {
    return {
      message: `the route ${JSON.stringify(route)} is ambiguous`,
      hint: 'Use plain characters: no escapes, no `;` or backslash, no double slash, no dot segments.',
    };
  }
  return undefined;
}

function withoutSlash(route: string): string {
  return route.replace(/\/+$/, '');
}

function checkHeaders(path: Path, headers: Tree | undefined, report: Report): void {
  const seen = new Set<string>();
  for (const [name, { value }] of entriesOf(headers)) {
    const at = [...path, name];
    const place = keyPlaceOf(headers, name);
    const lower = name.toLowerCase();
    const own = ownHeader(lower, path.at(-1) === 'headers');
    if (!HEADER_NAME.test(name))
      report(at, { message: `${JSON.stringify(name)} is not the name of a header`, place });
    else if (own) report(at, { message: `the header ${name} cannot be set here`, hint: own, place });
    else if (seen.has(lower))
      report(at, { message: `the header ${name} is a duplicate in another spelling`, place });
    else if (value.kind === 'scalar' && !isFieldValue(String(value.value)))
      report(at, {
        message: `the value of the header ${name} has characters that are not allowed in a header`,
      });
    seen.add(lower);
  }
}

/** Why Portal sets this header itself. */
function ownHeader(name: string, inRequest: boolean): string | undefined {
  if (name === 'host' && inRequest)
    return 'For the name of the target, write `host: target` next to `headers`.';
  if (CONNECTION_HEADERS.has(name))
    return 'Remove it: it is about a single connection, and Portal has one with each side.';
  if (FRAMING_HEADERS.has(name)) return 'Remove it: Portal sets the length and the destination of a message.';
  return undefined;
}

/** RFC 9110, section 5.5, with one byte per character: no line breaks and no control characters. */
function isFieldValue(text: string): boolean {
  return /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(text);
}
