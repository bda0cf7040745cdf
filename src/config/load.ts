import { isUtf8 } from 'node:buffer';
import { open, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Confined } from '../lib/confined.js';
import { cannotRead, PortalError, systemCode, unreadableHint, type ErrorCode } from '../lib/errors.js';
import { readBounded } from '../lib/read-bounded.js';
import { checkOwner, type Owner } from './check-owner.js';
import { tooManyLeases } from './check-leases.js';
import { check } from './check.js';
import { uncertified } from './check-certificates.js';
import type { Desired } from './desired.js';
import { parseDotenv } from './dotenv.js';
import { explain } from './explain.js';
import { identityAddress } from './identity-address.js';
import { dotenvOf, findConfig, overlayOf, type Found } from './find.js';
import { withoutExtensions } from './extensions.js';
import { foreignFinding } from './foreign.js';
import { firstPerPath, toProblems, type Finding } from './finding.js';
import { mergeOverlay, omitServices } from './merge.js';
import { normalise } from './normalise.js';
import { parse, type Parsed } from './parse.js';
import { notAllowed, permissionsOf, tooMany, type Permission } from './permissions.js';
import type { Problem } from './problem.js';
import { maskSecrets } from './secrets.js';
import { Source, type Place } from './source.js';
import { substitute } from './substitute.js';
import type { Tree } from './tree.js';
import type { Person, Trusted } from './trusted.js';
import { validateTree } from './validate.js';
import { namesIdentity, variables, withDotenv } from './variables.js';
import { MAX_FILE_BYTES } from './yaml.js';

export interface LoadOptions {
  /** `-f FILE`; `-` is standard input. */
  file?: string;
  /** A search found `file`; the user did not name it. */
  isFound?: boolean;
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Reads standard input to its end. Called only if the file is `-`. */
  stdin?: () => Promise<string>;
  /** The value of `${user}`. Default: PORTAL_USER, git or the operating system. */
  userName?: string;
  /** `user.name` of git, called only when `${user}` needs it. */
  gitUser?: () => string | undefined;
  /** The address of the identity in a file (undefined: the user's own), for `${id}`; undefined before it exists. */
  addressIn?: (file: string | undefined) => Promise<string | undefined>;
  /** Default: the user of this process. */
  person?: Person;
  /** The identity that runs the configuration. Default: the owner of the services is not checked. */
  owner?: Owner;
  /** Names of services to omit, as if the file did not have them. */
  without?: readonly string[];
}

export type LoadResult =
  | {
      ok: true;
      desired: Desired;
      /** Plain object after the overlay and interpolation, with secrets masked as `****`. */
      effective: unknown;
      /** Absolute path, or `<stdin>`. */
      file: string;
      /** Absolute paths of the files to watch: configuration, overlay, .env, existing or not. */
      inputs: string[];
      /** `${id}` or `${user}` stands for an identity that does not exist yet: load again once it does. */
      needsIdentity: boolean;
      /** Problems that do not prevent a start. */
      warnings: Problem[];
      /** Everything that needs the user's permission. */
      permissions: Permission[];
      /** Where each path in the configuration may lead while it runs. */
      confined: ReadonlyMap<string, Confined>;
      /** Permissions as problems, placed. */
      refuse: (missing: readonly Permission[]) => Problem[];
    }
  | { ok: false; problems: Problem[]; file: string; inputs: string[] };

/**
 * Finds, reads and checks the configuration. Returns all mistakes, including a missing file, as problems. Rejects
 * only for bugs in Portal.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadResult> {
  let found: Found;
  try {
    found = await findConfig(options);
  } catch (error) {
    if (!(error instanceof PortalError)) throw error;
    const file = join(options.cwd, 'portal.yaml');
    return { ok: false, problems: [wholeFile(error, file)], file, inputs: [file] };
  }
  const inputs = inputsOf(found, options.cwd);
  const where = { file: found.kind === 'file' ? found.path : '<stdin>', inputs: inputs.all };
  try {
    const texts = await readInputs(found, inputs, options);
    const parsed = parseTexts(texts, found);
    const isNamed = [texts.main, texts.overlay, texts.dotenv].some(namesIdentity);
    const { addressIn } = options;
    const address =
      isNamed && addressIn
        ? await identityAddress(parsed.map(({ tree }) => tree).toReversed(), inputs.directory, addressIn)
        : undefined;
    const evaluated = evaluate(parsed, texts.dotenv, inputs.directory, found, { ...options, address });
    if (!evaluated.ok) return { ...where, ...evaluated };
    const { tree, secrets, ...rest } = evaluated;
    const loaded = {
      ...rest,
      needsIdentity: isNamed && address === undefined,
      ...(await permissionsOf(rest.desired, tree, inputs.directory, readFiles(inputs, texts))),
      refuse: (missing: readonly Permission[]) => toProblems(notAllowed(missing, tree), secrets),
    };
    const findings = [
      ...tooMany(loaded.permissions, tree),
      ...(options.owner ? await checkOwner(loaded.desired, tree, options.owner) : []),
    ];
    if (findings.length > 0) return { ...where, ok: false, problems: toProblems(findings, secrets) };
    return { ...where, ...loaded };
  } catch (error) {
    if (!(error instanceof PortalError)) throw error;
    return { ...where, ok: false, problems: [wholeFile(error, shownName(found))] };
  }
}

interface Inputs {
  /** Base directory of relative paths in the file. */
  readonly directory: string;
  readonly overlay: string | undefined;
  readonly dotenv: string;
  readonly all: string[];
}

function inputsOf(found: Found, cwd: string): Inputs {
  if (found.kind === 'stdin') {
    const dotenv = resolve(cwd, '.env');
    return { directory: resolve(cwd), overlay: undefined, dotenv, all: [dotenv] };
  }
  const directory = dirname(found.path);
  const overlay = overlayOf(found.path);
  const dotenv = dotenvOf(found.path);
  return { directory, overlay, dotenv, all: [found.path, overlay, dotenv] };
}

/** The files that Portal read in addition to the configuration. */
function readFiles({ overlay, dotenv }: Inputs, texts: Texts): { file: string; of: string }[] {
  return [
    ...(overlay !== undefined && texts.overlay !== undefined
      ? [{ file: overlay, of: basename(overlay) }]
      : []),
    ...(texts.dotenv === undefined ? [] : [{ file: dotenv, of: '.env' }]),
  ];
}

function shownName(found: Found): string {
  return found.kind === 'stdin' ? '<stdin>' : found.shown;
}

interface Texts {
  readonly main: string;
  readonly overlay: string | undefined;
  readonly dotenv: string | undefined;
}

async function readInputs(found: Found, inputs: Inputs, options: LoadOptions): Promise<Texts> {
  const trusted = found.kind === 'file' ? found.trusted : undefined;
  const [main, overlay, dotenv] = await Promise.all([
    found.kind === 'stdin' ? (options.stdin?.() ?? '') : readText(found.path, found.shown, trusted),
    inputs.overlay === undefined ? undefined : readText(inputs.overlay, inputs.overlay, trusted),
    readDotenv(inputs.dotenv, trusted),
  ]);
  if (main === undefined) {
    throw new PortalError('config_not_found', `there is no file ${shownName(found)}`, {
      hint: 'Check the path after -f or in PORTAL_FILE, or run `portal init` to create one.',
    });
  }
  if (main.length > MAX_FILE_BYTES) throw tooLarge(shownName(found));
  if (found.kind === 'stdin' && /^(?:\ufffd|.?.?.?\0)/s.test(main)) throw notUtf8('<stdin>');
  return { main, overlay, dotenv };
}

/** The text of a file; undefined if it does not exist. */
async function readText(path: string, shown: string, trusted?: Trusted): Promise<string | undefined> {
  try {
    const bytes = await readBytes(path, shown, trusted);
    // ASCII in UTF-16 without a byte order mark is also valid UTF-8, with a NUL after every character.
    if (!isUtf8(bytes) || bytes.subarray(0, 4).includes(0)) throw notUtf8(shown);
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new PortalError('config_unreadable', cannotRead(shown, error), {
      cause: error,
      hint:
        unreadableHint(error) ??
        (code === 'EISDIR' ? 'Name the file in this directory.' : 'Check the file and its folder.'),
    });
  }
}

/** Reads up to the limit, because a link may lead to an endless file such as /dev/zero. */
async function readBytes(path: string, shown: string, trusted: Trusted | undefined): Promise<Buffer> {
  const handle = await open(path);
  try {
    trusted?.(path, (await handle.stat()).uid);
    return await readBounded(handle.createReadStream({ autoClose: false }), MAX_FILE_BYTES, () =>
      tooLarge(shown),
    );
  } finally {
    await handle.close();
  }
}

/** A directory named `.env` is a Python virtual environment, which Portal ignores. */
async function readDotenv(path: string, trusted: Trusted | undefined): Promise<string | undefined> {
  const isDirectory = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isDirectory ? undefined : readText(path, path, trusted);
}

function notUtf8(shown: string): PortalError {
  return new PortalError('config_unreadable', `${shown} is not UTF-8; save it as UTF-8`);
}

function tooLarge(shown: string): PortalError {
  return new PortalError('config_unreadable', `${shown} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
}

type Evaluated =
  | {
      ok: true;
      desired: Desired;
      effective: unknown;
      warnings: Problem[];
      tree: Tree;
      secrets: readonly Place[];
    }
  | { ok: false; problems: Problem[] };

/** The configuration itself, and its overlay where there is one. */
type ParsedTexts = readonly [main: Parsed, ...overlay: Parsed[]];

function parseTexts(texts: Texts, found: Found): ParsedTexts {
  const main = parse(new Source(shownName(found), texts.main));
  if (texts.overlay === undefined) return [main];
  return [main, parse(new Source(overlayOf(shownName(found)), texts.overlay))];
}

/** Turns trees into a result, without any I/O. */
function evaluate(
  parsed: ParsedTexts,
  dotenvText: string | undefined,
  directory: string,
  found: Found,
  options: LoadOptions & { address: string | undefined },
): Evaluated {
  const [main, overlay] = parsed;
  const environment = variables({ ...options, folder: directory });
  const dotenv = parseDotenv(new Source(dotenvName(found), dotenvText ?? ''), environment);
  const secrets = [...parsed, dotenv].flatMap((one) => one.secrets);
  const syntax = parsed.flatMap(({ findings }) => findings);
  if (parsed.some(({ broken }) => broken)) return { ok: false, problems: toProblems(syntax, secrets) };

  const foreign = foreignFinding(main.tree, shownName(found));
  if (foreign) return { ok: false, problems: toProblems([foreign], secrets) };

  const merged = withoutExtensions(omitServices(withOverlay(main.tree, overlay?.tree), options.without));
  if (dotenv.findings.length > 0)
    return { ok: false, problems: toProblems([...syntax, ...dotenv.findings], secrets) };
  const lookup = withDotenv(environment, dotenv.values);
  const { tree, findings, warnings } = substitute(merged, lookup, secrets, dotenv.references);
  const beyond = tooManyLeases(tree);
  if (beyond.length > 0) return { ok: false, problems: toProblems(beyond, secrets) };
  const verdict = validateTree(tree);
  const rules = [verdict.ok ? [] : explain(verdict.errors, tree), check(tree)];
  const all = rules.reduce<Finding[]>(firstPerPath, [...syntax, ...findings]);
  if (!verdict.ok || all.length > 0) return { ok: false, problems: toProblems(all, secrets) };
  const desired = normalise(verdict.config, found.kind === 'file' ? found.path : undefined, directory);
  return {
    ok: true,
    desired,
    effective: maskSecrets(verdict.config, tree),
    warnings: toProblems([...warnings, ...dotenv.warnings, ...uncertified(desired, tree)], secrets),
    tree,
    secrets,
  };
}

/** An overlay that is empty, except for comments, changes nothing. */
function withOverlay(main: Tree, overlay: Tree | undefined): Tree {
  if (!overlay || (overlay.kind === 'scalar' && overlay.value === null)) return main;
  return mergeOverlay(main, overlay);
}

function dotenvName(found: Found): string {
  return found.kind === 'stdin' ? '.env' : dotenvOf(found.shown);
}

/** A problem with a whole file, for example that it is missing. */
function wholeFile(error: PortalError, file: string): Problem {
  const code: ErrorCode = error.code;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return { file, line: 1, column: 1, path: '', code, message: error.message, ...hint };
}
