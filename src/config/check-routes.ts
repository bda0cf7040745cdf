import type { Report } from './check.js';
import { checkTarget } from './check-target.js';
import { child, entriesOf, keyPlaceOf, treeAt, type Path, type Tree } from './tree.js';

/** RFC 9110, section 5.6.2. */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Rules for the routes of one service. */
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
    checkHeaders([...at, 'headers'], child(value, 'headers'), report);
  }
}

function routeProblem(route: string): { message: string; hint: string } | undefined {
  if (!route.startsWith('/')) {
    return {
      message: `the route ${JSON.stringify(route)} does not begin with \`/\``,
      hint: `Write \`/${route}\`.`,
    };
  }
  if (/[?#\s]/.test(route)) {
    return {
      message: `the route ${JSON.stringify(route)} is not a path`,
      hint: 'A route is a path alone: no query, no fragment, no space.',
    };
  }
  return undefined;
}

function withoutSlash(route: string): string {
  return route.replace(/\/+$/, '');
}

function checkHeaders(path: Path, headers: Tree | undefined, report: Report): void {
  for (const [name, { value }] of entriesOf(headers)) {
    const at = [...path, name];
    if (!HEADER_NAME.test(name)) {
      report(at, {
        message: `${JSON.stringify(name)} is not the name of a header`,
        place: keyPlaceOf(headers, name),
      });
    } else if (value.kind === 'scalar' && /[\r\n\0]/.test(String(value.value))) {
      report(at, { message: `the value of the header ${name} has a line break in it` });
    }
  }
}
