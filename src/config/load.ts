import { join } from 'node:path';
import type { Confined } from '../lib/confined.js';
import { PortalError, type ErrorCode } from '../lib/errors.js';
import { assemble, type Assembled } from './assemble.js';
import { checkOwner, type Owner } from './checks/owner.js';
import { tooManyLeases } from './checks/leases.js';
import { check } from './checks/check.js';
import { chosenCertificates, uncertified, type ChosenCertificates } from './checks/certificates.js';
import { relaysByAddress } from './checks/relay-addresses.js';
import type { Desired } from './desired.js';
import { forCommands } from './variables/env-file.js';
import { explain } from './words/explain.js';
import { findConfig, type Found } from './files/find.js';
import { inputsOf, readBeside, readInputs, shownName } from './files/input-files.js';
import { firstPerPath, toProblems, type Finding } from './text/finding.js';
import { normalise } from './normalise.js';
import { notAllowed, permissionsOf, tooMany, type Permission } from './permissions/permissions.js';
import type { Problem } from './text/problem.js';
import { rebase } from './files/rebase.js';
import type { Files } from './files/read-text.js';
import { maskSecrets } from './variables/secrets.js';
import type { Place } from './text/source.js';
import { substitute } from './variables/substitute.js';
import { withEntriesOf, type Tree } from './text/tree.js';
import type { Person } from './permissions/trusted.js';
import { validateTree } from './schema/validate.js';
import { withDotenv } from './variables/variables.js';

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
  /** The text is data: it has no variables, and Portal does not read `.env`. */
  literal?: boolean;
  /** Names of services to omit, as if the file did not have them. */
  without?: readonly string[];
  /** Reads the files of `envFile` and `include`. Default: from the disk. */
  files?: Files;
}

export type LoadResult =
  | {
      ok: true;
      desired: Desired;
      /** Plain object after the overlay and interpolation, with secrets masked as `****`. */
      effective: unknown;
      /** Absolute path, or `<stdin>`. */
      file: string;
      /**
       * Absolute paths of the files to watch: configuration, overlay, .env, `envFile`, `include`, existing or not. A folder
       * whose names matter ends with a separator.
       */
      inputs: string[];
      /** `${id}` or `${user}` stands for an identity that does not exist yet: load again once it does. */
      needsIdentity: boolean;
      /** Problems that do not prevent a start. */
      warnings: Problem[];
      /** Where Portal chose a public CA for certificates. */
      certificates: ChosenCertificates[];
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
    const assembled = await assemble(texts, inputs, found, options);
    where.inputs = [...where.inputs, ...assembled.inputs];
    const evaluated = evaluate(assembled, inputs.directory, found, options);
    if (!evaluated.ok) return { ...where, ...evaluated };
    const { tree, secrets, ...rest } = evaluated;
    const read = [...assembled.read, ...readBeside(inputs, texts)];
    const loaded = {
      ...rest,
      needsIdentity: assembled.needsIdentity,
      ...(await permissionsOf(rest.desired, tree, inputs.directory, read)),
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

type Evaluated =
  | {
      ok: true;
      desired: Desired;
      effective: unknown;
      warnings: Problem[];
      certificates: ChosenCertificates[];
      tree: Tree;
      secrets: readonly Place[];
    }
  | { ok: false; problems: Problem[] };

/** Turns the assembled configuration into a result, without any I/O. */
function evaluate(
  assembled: Assembled,
  directory: string,
  found: Found,
  { literal }: LoadOptions,
): Evaluated {
  const { env, environment, secrets } = assembled;
  const fail = (findings: readonly Finding[]): Evaluated => ({
    ok: false,
    problems: toProblems(findings, secrets),
  });
  if (assembled.isBroken) return fail(assembled.findings);
  const lookup = literal ? undefined : withDotenv(environment, env.dotenv.values);
  const replaced = substitute(assembled.tree, lookup, secrets, env.dotenv.references);
  const { findings, warnings } = replaced;
  const services = assembled.isSplit ? rebase(replaced.tree, directory) : replaced.tree;
  const tree = withEntriesOf(services, assembled.named);
  const beyond = tooManyLeases(tree);
  if (beyond.length > 0) return fail(beyond);
  const verdict = validateTree(tree);
  const rules = [verdict.ok ? [] : explain(verdict.errors, tree), check(tree)];
  const all = rules.reduce<Finding[]>(firstPerPath, [...assembled.findings, ...findings]);
  if (!verdict.ok || all.length > 0) return fail(all);
  const normalised = normalise(verdict.config, found.kind === 'file' ? found.path : undefined, directory);
  const { desired, findings: unusable } = forCommands(normalised, env, tree);
  if (unusable.length > 0) return fail(unusable);
  return {
    ok: true,
    desired,
    certificates: chosenCertificates(desired, tree),
    effective: maskSecrets(verdict.config, tree),
    warnings: toProblems(
      [...warnings, ...assembled.warnings, ...relaysByAddress(tree), ...uncertified(desired, tree)],
      secrets,
    ),
    tree,
    secrets,
  };
}

/** A problem with a whole file, for example that it is missing. */
function wholeFile(error: PortalError, file: string): Problem {
  const code: ErrorCode = error.code;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return { file, line: 1, column: 1, path: '', code, message: error.message, ...hint };
}
