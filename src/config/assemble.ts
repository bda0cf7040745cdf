import { parseDotenv, type Dotenv } from './variables/dotenv.js';
import { KEY as ENV_FILE, readEnvFiles, type EnvFileOptions, type EnvFiles } from './variables/env-file.js';
import { withoutExtensions } from './extensions.js';
import { overlayOf, type Found } from './files/find.js';
import type { Finding } from './text/finding.js';
import { foreignFinding } from './words/foreign.js';
import { identityAddress } from './variables/identity-address.js';
import { KEY as INCLUDE, readIncluded, type IncludeOptions } from './files/include.js';
import { mergeIncluded } from './files/include-merge.js';
import { dotenvName, shownName, type Inputs, type ReadFile, type Texts } from './files/input-files.js';
import type { Lookup } from './variables/interpolate.js';
import type { LoadOptions } from './load.js';
import { mergeOverlay, omitServices } from './merge.js';
import { parse, type Parsed } from './text/parse.js';
import { filesOnDisk } from './files/read-text.js';
import { Source, type Place } from './text/source.js';
import { substitute, type Substituted } from './variables/substitute.js';
import { child, onlyKeys, withEntriesOf, type Tree } from './text/tree.js';
import { namesIdentity, variables, withDotenv } from './variables/variables.js';

const NOTHING: Tree = {
  kind: 'map',
  place: { source: new Source('', ''), start: 0, end: 0 },
  entries: new Map(),
};

/** The configuration itself, and its overlay where there is one. */
type ParsedTexts = readonly [main: Parsed, ...overlay: Parsed[]];

function parseTexts(texts: Texts, found: Found): ParsedTexts {
  const main = parse(new Source(shownName(found), texts.main));
  if (texts.overlay === undefined) return [main];
  return [main, parse(new Source(overlayOf(shownName(found)), texts.overlay))];
}

/** The configuration of all files, before its variables are replaced. */
export interface Assembled {
  /** Without `named`. */
  readonly tree: Tree;
  /** `envFile` and `include`, with their variables replaced. */
  readonly named: Tree;
  readonly environment: Lookup;
  readonly env: EnvFiles;
  /** Some services come from other files. */
  readonly isSplit: boolean;
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  readonly secrets: readonly Place[];
  /** Nothing else can be checked. */
  readonly isBroken: boolean;
  readonly needsIdentity: boolean;
  /** What the configuration names: absolute paths to watch, and the files that exist. */
  readonly inputs: readonly string[];
  readonly read: readonly ReadFile[];
}

/** Merges the files, and reads those that they name. Throws PortalError `config_untrusted`. */
export async function assemble(
  texts: Texts,
  inputs: Inputs,
  found: Found,
  options: LoadOptions,
): Promise<Assembled> {
  const { directory } = inputs;
  const parsed = parseTexts(texts, found);
  const [main, overlay] = parsed;
  const top = withOverlay(main.tree, overlay?.tree);
  const own = [texts.main, texts.overlay, texts.dotenv];
  // The files that the configuration names may name the identity too.
  const isAsked = own.some(namesIdentity) || NAMING.some((key) => child(top, key));
  const { addressIn } = options;
  const address =
    isAsked && addressIn
      ? await identityAddress(parsed.map((one) => one.tree).toReversed(), directory, addressIn)
      : undefined;
  const environment = variables({ ...options, folder: directory, address });
  const dotenv = parseDotenv(new Source(dotenvName(found), texts.dotenv ?? ''), environment);
  const secrets = [...parsed, dotenv].flatMap((one) => one.secrets);
  const syntax = parsed.flatMap(({ findings }) => findings);
  const foreign = foreignFinding(main.tree, found);
  const problems = parsed.some((one) => one.broken)
    ? syntax
    : foreign
      ? [foreign]
      : dotenv.findings.length > 0
        ? [...syntax, ...dotenv.findings]
        : [];
  const files = options.files ?? filesOnDisk(found.kind === 'file' ? found.trusted : undefined);
  const context = { environment, dotenv, directory, shown: shownName(found), own: inputs.all, files };
  const named = await readNamed(problems.length > 0 ? NOTHING : top, secrets, context, options);
  const isSplit = child(top, INCLUDE) !== undefined;
  const merged = isSplit ? mergeIncluded(main.tree, named.trees) : { tree: main.tree, findings: [] };
  const rest = onlyKeys(withOverlay(merged.tree, overlay?.tree), NAMING, false);
  const conflicts = merged.findings.filter(({ path }) => !options.without?.includes(String(path[1])));
  return {
    ...named,
    tree: withoutExtensions(omitServices(rest, options.without)),
    environment,
    isSplit,
    findings: problems.length > 0 ? problems : [...syntax, ...named.findings, ...conflicts],
    warnings: [...dotenv.warnings, ...named.warnings],
    secrets: [...secrets, ...named.secrets],
    isBroken: [...problems, ...named.findings, ...conflicts].length > 0,
    needsIdentity: !options.literal && address === undefined && [...own, ...named.texts].some(namesIdentity),
  };
}

/** The keys that name more files. Files with variables come first: the other paths may use their variables. */
const NAMING = [ENV_FILE, INCLUDE];

type Context = EnvFileOptions & IncludeOptions;

/** Reads the files that `top` names. They have variables, even if a program gave the configuration as data. */
async function readNamed(
  top: Tree,
  secrets: readonly Place[],
  context: Context,
  { literal }: Pick<LoadOptions, 'literal'>,
) {
  const { environment, dotenv } = context;
  const lookupIn = ({ values }: Dotenv): Lookup => withDotenv(environment, values);
  const replaced = (key: string, known: Dotenv): Substituted =>
    substitute(onlyKeys(top, [key]), literal ? undefined : lookupIn(known), secrets, known.references);
  const ofEnv = replaced(ENV_FILE, dotenv);
  const env = await readEnvFiles(ofEnv.findings.length > 0 ? NOTHING : ofEnv.tree, context);
  const isUsable = ofEnv.findings.length + env.findings.length === 0;
  const ofInclude = isUsable ? replaced(INCLUDE, env.dotenv) : { tree: NOTHING, findings: [], warnings: [] };
  const included = await readIncluded(ofInclude.findings.length > 0 ? NOTHING : ofInclude.tree, context);
  const { parsed } = included;
  const known = env.dotenv;
  const inData = literal
    ? parsed.map(({ tree, secrets: own }) => substitute(tree, lookupIn(known), own, known.references))
    : [];
  const all = [ofEnv, env, ofInclude, included, ...inData];
  return {
    env,
    trees: parsed.some(({ broken }) => broken) ? [] : (literal ? inData : parsed).map(({ tree }) => tree),
    named: withEntriesOf(ofEnv.tree, ofInclude.tree),
    findings: [...all.flatMap(({ findings }) => findings), ...parsed.flatMap(({ findings }) => findings)],
    warnings: all.flatMap(({ warnings }) => warnings),
    secrets: [...env.secrets, ...parsed.flatMap((one) => one.secrets)],
    inputs: [...env.inputs, ...included.inputs],
    read: [...env.read, ...included.read],
    texts: [...env.texts, ...parsed.map(({ source }) => source.text)],
  };
}

/** An overlay that is empty, except for comments, changes nothing. */
function withOverlay(main: Tree, overlay: Tree | undefined): Tree {
  if (!overlay || (overlay.kind === 'scalar' && overlay.value === null)) return main;
  return mergeOverlay(main, overlay);
}
