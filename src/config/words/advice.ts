import { rangeProblem } from '../../net/cidr.js';
import type { Path, Tree } from '../text/tree.js';
import { itemsOf, textOf, treeAt } from '../text/tree.js';
import { dnsLabel } from '../variables/variables.js';

/**
 * What to write instead of a value copied from another program's configuration. Undefined for any other value. The
 * advice repeats the value, so values from variables and secrets get none.
 */
export function advice(
  root: Tree,
  path: Path,
  definition: string | undefined,
  type: string | undefined,
): string | undefined {
  const tree = treeAt(root, path);
  if (!tree || isPrivate(tree)) return undefined;
  if (path.length === 1 && path[0] === 'relays') return relaysAdvice(tree);
  if (path.length === 1 && path[0] === 'services') return forServices(tree);
  if (path.length === 2 && path[0] === 'services' && tree.kind === 'list')
    return 'A service has one target. Write a service for each port, or one service with `routes`.';
  if (path.at(-1) === 'target' && tree.kind === 'map') return forTargetMapping(tree);
  if (path.at(-1) === 'tls' && tree.kind === 'scalar' && tree.value === true)
    return 'Omit `tls`. Portal then uses a public CA for public names, and the local CA for local ones.';
  const text = textOf(tree);
  if (text === undefined) return undefined;
  return type === 'array' ? forList(text, path.at(-1)) : forText(text, path, definition);
}

/** The value comes from a variable or a secret. */
const isPrivate = (tree: Tree): boolean =>
  tree.kind === 'scalar' && (tree.interpolated || tree.secret === true);

/** For `headers` as a list, the way of nginx and curl. Shows names only, because values may be secrets. */
export function headersAdvice(root: Tree, path: Path): string | undefined {
  const [first] = itemsOf(treeAt(root, path));
  const [key] = first?.kind === 'map' ? first.entries.keys() : [];
  const typed = key === undefined ? textOf(first) : `${key}:`;
  const name = /^([A-Za-z][\w-]*)\s*[:=]/.exec(typed ?? '')?.[1];
  return name && `Write \`${path.at(-1)}: { ${name}: … }\`, without dashes or brackets.`;
}

function forList(text: string, key: Path[number] | undefined): string | undefined {
  if (key === 'allowIps') {
    const problem = rangeProblem(text);
    if (problem !== undefined)
      return `Write a list, for example \`allowIps: [10.0.0.0/8]\`. ${JSON.stringify(text)} ${problem}.`;
  }
  const isPlain = /^[\w.][\w./-]*$/.test(text);
  return typeof key === 'string' && isPlain ? `Write \`${key}: [${text}]\`.` : undefined;
}

/** For a target that resembles nothing known. */
export const TARGET_EXAMPLES = 'Write for example 3000, localhost:3000, unix:/run/app.sock or ./public.';

/** The same for a target. */
export function targetAdvice(text: string): string | undefined {
  const bare = /^\$([A-Za-z_]\w*)$/.exec(text);
  if (bare) return `Write \${${bare[1]}}, with braces.`;
  const local = /^:(\d{1,5})$/.exec(text);
  if (local) return `Write ${local[1]}.`;
  const mapped = /^(?:[\d.]+:)?(\d{1,5}):\d{1,5}(?:\/(?:tcp|udp))?$/.exec(text);
  if (mapped) return `Write ${mapped[1]}, only the port of this machine.`;
  if (/^https?:\/\/[^/]+\/./.test(text) && URL.canParse(text)) {
    const { origin, pathname, host } = new URL(text);
    return `Write ${origin}. To publish one path, use \`routes: { ${pathname}: ${host} }\`.`;
  }
  const scheme = /^(tcp|udp):\/\/([\w.-]+:\d+)\/?$/i.exec(text);
  if (scheme) return `Write \`{ target: ${scheme[2]}, mode: ${scheme[1]!.toLowerCase()} }\`.`;
  const suffixed = /^(\d{1,5})\/(tcp|udp)$/i.exec(text);
  if (suffixed) return `Write \`{ target: ${suffixed[1]}, mode: ${suffixed[2]!.toLowerCase()} }\`.`;
  const path = /^([\w.-]+:\d+)(\/[\w\-./]*)$/.exec(text);
  if (path) return `Write ${path[1]}. To publish one path, use \`routes: { ${path[2]}: ${path[1]} }\`.`;
  return /^[A-Za-z][\w.-]*$/.test(text)
    ? `Add the port, as in ${text}:3000. For a folder, write ./${text}.`
    : undefined;
}

/** For URLs of relays without `urls`. */
export function relaysAdvice(tree: Tree | undefined): string | undefined {
  if (!tree || isPrivate(tree)) return undefined;
  const urls = tree.kind === 'list' ? tree.items.map(textOf) : [textOf(tree)];
  const isWritten = urls.length > 0 && urls.every((url) => url !== undefined && /^[\w.:/-]+$/.test(url));
  return isWritten ? `Write \`relays: { urls: [${urls.join(', ')}] }\`.` : undefined;
}

function forServices(tree: Tree): string | undefined {
  if (tree.kind === 'list') {
    const [first] = itemsOf(tree);
    // `- web: 3000`; in a list of mappings with more keys, the names are elsewhere.
    const key = first?.kind === 'map' && first.entries.size === 1 ? [...first.entries.keys()][0] : undefined;
    return `Write the services as keys, without dashes: \`${key ?? 'web'}: ${textOf(treeAt(first ?? tree, [key ?? ''])) ?? '3000'}\`.`;
  }
  const glued = /^([\w-]+):(\S+)$/.exec(textOf(tree) ?? '');
  return glued ? `Add a space after the colon: \`${glued[1]}: ${glued[2]}\`.` : undefined;
}

function forTargetMapping(tree: Tree): string | undefined {
  const port = textOf(treeAt(tree, ['port']));
  return port === undefined
    ? undefined
    : `Write \`target: ${textOf(treeAt(tree, ['host'])) ?? 'localhost'}:${port}\`.`;
}

function forText(text: string, path: Path, definition: string | undefined): string | undefined {
  switch (definition) {
    case 'relayUrl':
      return forRelayUrl(text);
    case 'dnsLabel': {
      if (!text.includes('.')) return `Write \`name: ${dnsLabel(text)}\`.`;
      const label = dnsLabel(text.split('.')[0]!);
      return `For your own domain, write \`hostname: ${text}\`. For a name on the relay, write \`name: ${label}\`.`;
    }
    case 'duration':
    case 'hold':
    case 'keepFor':
      return forDuration(text);
    case 'visitor':
      return /^[a-z][\w.-]*$/i.test(text)
        ? `Ask ${text} for the address that \`portal identity\` prints.`
        : undefined;
    case 'rate':
      return /^\d{1,6}$/.test(text) ? `Write ${text}/s for ${text} requests per second.` : undefined;
    default:
      break;
  }
  if (path.at(-1) === 'hostname' && /^\*\.[\w.-]+$/.test(text))
    return `A service has one hostname. Name each, for example ${text.replace('*', 'app')}.`;
  if (path.at(-1) === 'hostname' && /^https?:\/\//i.test(text) && URL.canParse(text))
    return `Write only the hostname: ${new URL(text).hostname}.`;
  if (path.at(-1) === 'mode' && /^(https|tls|ssl)$/i.test(text))
    return 'Omit `mode`: every service has an https:// URL.';
  return undefined;
}

function forRelayUrl(text: string): string | undefined {
  const url = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`;
  if (!URL.canParse(url)) return undefined;
  const { protocol, host, username, password } = new URL(url);
  if (username || password || !/^(https?|wss?|tcp|tls):$/.test(protocol) || !/[.:]|^localhost$/.test(host))
    return undefined;
  return `Write https://${host}.`;
}

const UNITS: Readonly<Record<string, string>> = { s: 's', m: 'm', h: 'h', d: 'd' };

function forDuration(text: string): string | undefined {
  const written = /^(\d+)\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|d|days?)$/i.exec(
    text.trim(),
  );
  return written ? `Write ${written[1]}${UNITS[written[2]!.charAt(0).toLowerCase()]}.` : undefined;
}
