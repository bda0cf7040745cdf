import { parseDotenv } from './dotenv.js';
import { readEnvFiles, type EnvFiles } from './env-file.js';
import { withoutExtensions } from './extensions.js';
import { overlayOf, type Found } from './find.js';
import type { Finding } from './finding.js';
import { foreignFinding } from './foreign.js';
import { identityAddress } from './identity-address.js';
import { dotenvName, shownName, type Inputs, type Texts } from './input-files.js';
import type { Lookup } from './interpolate.js';
import type { LoadOptions } from './load.js';
import { mergeOverlay, omitServices } from './merge.js';
import { parse, type Parsed } from './parse.js';
import { filesOnDisk } from './read-text.js';
import { Source, type Place } from './source.js';
import { child, type Tree } from './tree.js';
import { namesIdentity, variables } from './variables.js';

/** The configuration itself, and its overlay where there is one. */
type ParsedTexts = readonly [main: Parsed, ...overlay: Parsed[]];

function parseTexts(texts: Texts, found: Found): ParsedTexts {
  const main = parse(new Source(shownName(found), texts.main));
  if (texts.overlay === undefined) return [main];
  return [main, parse(new Source(overlayOf(shownName(found)), texts.overlay))];
}

/** The configuration of all files, before its variables are replaced. */
export interface Assembled {
  readonly tree: Tree;
  readonly environment: Lookup;
  /** Undefined if a file could not be read in full. */
  readonly env: EnvFiles | undefined;
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  readonly secrets: readonly Place[];
  /** Nothing else can be checked. */
  readonly isBroken: boolean;
  readonly needsIdentity: boolean;
}

/** Merges the files, and reads those that they name. */
export async function assemble(
  texts: Texts,
  { directory }: Inputs,
  found: Found,
  options: LoadOptions,
): Promise<Assembled> {
  const parsed = parseTexts(texts, found);
  const [main, overlay] = parsed;
  const { addressIn } = options;
  const tree = withoutExtensions(omitServices(withOverlay(main.tree, overlay?.tree), options.without));
  const named = [texts.main, texts.overlay, texts.dotenv];
  // The files of `envFile` may name the identity too.
  const isAsked = named.some(namesIdentity) || child(tree, 'envFile') !== undefined;
  const address =
    isAsked && addressIn
      ? await identityAddress(parsed.map((one) => one.tree).toReversed(), directory, addressIn)
      : undefined;
  const environment = variables({ ...options, folder: directory, address });
  const dotenv = parseDotenv(new Source(dotenvName(found), texts.dotenv ?? ''), environment);
  const secrets = [...parsed, dotenv].flatMap((one) => one.secrets);
  const syntax = parsed.flatMap(({ findings }) => findings);
  const result = { tree, environment, warnings: dotenv.warnings, secrets };
  const broken = (findings: readonly Finding[]) => ({
    ...result,
    env: undefined,
    findings,
    isBroken: true,
    needsIdentity: false,
  });
  if (parsed.some((one) => one.broken)) return broken(syntax);
  const foreign = foreignFinding(main.tree, shownName(found));
  if (foreign) return broken([foreign]);
  if (dotenv.findings.length > 0) return broken([...syntax, ...dotenv.findings]);

  const files = options.files ?? filesOnDisk(found.kind === 'file' ? found.trusted : undefined);
  const env = await readEnvFiles(tree, {
    environment,
    dotenv,
    directory,
    shown: shownName(found),
    secrets,
    files,
  });
  return {
    ...result,
    env,
    findings: [...syntax, ...env.findings],
    warnings: [...result.warnings, ...env.warnings],
    secrets: [...secrets, ...env.secrets],
    isBroken: env.findings.length > 0,
    needsIdentity: !options.literal && address === undefined && [...named, ...env.texts].some(namesIdentity),
  };
}

/** An overlay that is empty, except for comments, changes nothing. */
function withOverlay(main: Tree, overlay: Tree | undefined): Tree {
  if (!overlay || (overlay.kind === 'scalar' && overlay.value === null)) return main;
  return mergeOverlay(main, overlay);
}
