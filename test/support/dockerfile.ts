import { cp, chmod, chown, mkdir, readdir, stat } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { posix, join, relative } from 'node:path';
import { promisify } from 'node:util';

/** The subset of Docker's build that deploy/Dockerfile uses, in folders instead of images. */

export interface Instruction {
  readonly name: string;
  /** Substitutes variables of ARG before the first FROM. */
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

export function parseDockerfile(text: string): Stage[] {
  const args = new Map<string, string>();
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  const lines = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ');
  for (const [, name, rest] of lines.matchAll(/^([A-Z]+) +(.+)$/gm)) {
    const value = rest!.trim();
    if (name === 'FROM') {
      const filled = value.replaceAll(/\$\{(\w+)\}/g, (_, key: string) => args.get(key) ?? '');
      const [, base, as] = /^(\S+)(?: AS (\S+))?$/.exec(filled)!;
      stages.push({ name: as ?? String(stages.length), base: base!, instructions: [] });
    } else if (stages.length === 0) {
      const [key, initial = ''] = value.split(/=(.*)/s);
      args.set(key!, initial);
    } else stages.at(-1)!.instructions.push({ name: name!, text: value });
  }
  return stages;
}

/** Whether a path of the context is sent to the builder: the last matching pattern decides. */
function dockerignore(text: string): (path: string) => boolean {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const isException = line.startsWith('!');
      const pattern = posix.normalize(isException ? line.slice(1) : line).replace(/^\/|\/$/g, '');
      const source = pattern
        .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll(/\*\*\/?|\*|\?/g, (glob) => ({ '*': '[^/]*', '?': '[^/]' })[glob] ?? '.*');
      // A pattern that matches a folder also matches its contents.
      return { isException, regex: new RegExp(`^${source}(/|$)`) };
    });
  return (path) =>
    rules.reduce((sent, { isException, regex }) => (regex.test(path) ? isException : sent), true);
}

/** The settings of a container of the image. */
export interface Image {
  /** The folder that represents `/`. */
  readonly root: string;
  /** The same paths as in the image. */
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly user: string;
  readonly volumes: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
}

type Draft = { -readonly [Key in keyof Image]: Image[Key] };

export interface Build {
  /** The text of the Dockerfile, and of its .dockerignore. */
  readonly dockerfile: string;
  readonly ignore: string;
  /** The build context. */
  readonly context: string;
  /** A new folder for all output. */
  readonly folder: string;
  /** Environment of RUN lines. NODE_ENV and others come from the stages. */
  readonly env: NodeJS.ProcessEnv;
  /** Ids of named users and groups, for --chown. Undefined: owners do not change. */
  readonly ids?: Readonly<Record<string, number>>;
}

const RUN_MS = 300_000;

/** Replays a Dockerfile stage by stage. Builds each stage once. */
export class Builder {
  readonly #options: Build;
  readonly #stages: readonly Stage[];
  readonly #built = new Map<string, Promise<Image>>();
  #context: Promise<string> | undefined;

  constructor(options: Build) {
    this.#options = options;
    this.#stages = parseDockerfile(options.dockerfile);
  }

  build(name: string): Promise<Image> {
    const known = this.#built.get(name);
    if (known) return known;
    const stage = this.#stages.find((one) => one.name === name);
    if (!stage) throw new Error(`no stage ${name}`);
    const building = this.#build(stage);
    this.#built.set(name, building);
    return building;
  }

  async #build({ name, base, instructions }: Stage): Promise<Image> {
    const root = join(this.#options.folder, name);
    await mkdir(root);
    const parent = this.#stages.some((stage) => stage.name === base) ? await this.build(base) : undefined;
    if (parent) await cp(parent.root, root, COPY);
    const image: Draft = { ...(parent ?? BLANK), root };
    for (const instruction of instructions) await this.#carryOut(image, instruction);
    return image;
  }

  async #carryOut(image: Draft, { name, text }: Instruction): Promise<void> {
    const list = (): string[] => JSON.parse(text) as string[];
    if (name === 'COPY') return this.#copy(image, text);
    if (name === 'RUN') return this.#run(image, text);
    if (name === 'WORKDIR') {
      image.workdir = posix.resolve(image.workdir, text);
      await mkdir(join(image.root, image.workdir), { recursive: true });
    } else if (name === 'ENV') {
      const [key, value = ''] = text.split(/=(.*)/s);
      image.env = { ...image.env, [key!]: value };
    } else if (name === 'USER') image.user = text;
    else if (name === 'VOLUME') image.volumes = [...image.volumes, text];
    else if (name === 'ENTRYPOINT') image.entrypoint = list();
    else if (name === 'CMD') image.cmd = list();
    else if (name === 'HEALTHCHECK')
      image.healthcheck = JSON.parse(text.replace(/^.*? CMD /, '')) as string[];
    else if (name === 'STOPSIGNAL') image.stopSignal = text;
    else if (name !== 'EXPOSE') throw new Error(`${name} is not supported`);
  }

  async #copy(image: Draft, text: string): Promise<void> {
    const words = text.split(/ +/);
    const options = new Map(
      words.filter((word) => word.startsWith('--')).map((word) => word.split('=', 2)) as [string, string][],
    );
    const paths = words.filter((word) => !word.startsWith('--'));
    const target = paths.pop()!;
    const from = options.get('--from');
    const source = from === undefined ? await this.#sent() : (await this.build(from)).root;
    const to = join(image.root, posix.resolve(image.workdir, target));
    for (const path of paths) {
      const at = join(source, path);
      const isInto = !(await stat(at)).isDirectory() && (paths.length > 1 || /(^|\/)\.?\/?$/.test(target));
      const destination = isInto ? join(to, posix.basename(path)) : to;
      await mkdir(join(destination, '..'), { recursive: true });
      await cp(at, destination, COPY);
      await this.#own(destination, options);
    }
  }

  async #own(path: string, options: ReadonlyMap<string, string>): Promise<void> {
    const mode = options.get('--chmod');
    const owner = options.get('--chown');
    const { ids } = this.#options;
    if (mode !== undefined) await chmod(path, Number.parseInt(mode, 8));
    if (owner !== undefined && ids) {
      const [user, group = user] = owner.split(':').map((id) => ids[id] ?? Number(id));
      await chown(path, user!, group!);
    }
    if ((await stat(path)).isDirectory())
      for (const name of await readdir(path)) await this.#own(join(path, name), options);
  }

  /** The context as the builder receives it. */
  #sent(): Promise<string> {
    this.#context ??= (async () => {
      const { context, folder, ignore } = this.#options;
      const isSent = dockerignore(ignore);
      const sent = join(folder, '.context');
      // Descends into a folder that may contain an exception.
      const mayHold = (path: string): boolean =>
        [...ignore.matchAll(/^!(.*)$/gm)].some(([, exception]) => exception!.startsWith(`${path}/`));
      const filter = async (from: string): Promise<boolean> => {
        const path = relative(context, from);
        return path === '' || isSent(path) || ((await stat(from)).isDirectory() && mayHold(path));
      };
      await cp(context, sent, { ...COPY, filter });
      return sent;
    })();
    return this.#context;
  }

  async #run(image: Draft, text: string): Promise<void> {
    const isList = text.startsWith('[');
    // The paths in a shell command cannot be moved into the folder.
    if (!isList && /(^|[\s'"=])\//.test(text))
      throw new Error(`a path of the image in a shell line: ${text}`);
    const [command, ...args] = isList
      ? (JSON.parse(text) as string[]).map((word, index) => (index === 0 ? word : within(image, word)))
      : ['/bin/sh', '-c', text];
    for (const word of isList ? args : [])
      if (word.startsWith(image.root)) await mkdir(join(word, '..'), { recursive: true });
    await promisify(execFile)(command!, args, {
      cwd: join(image.root, image.workdir),
      env: { ...this.#options.env, ...containerEnv(image) },
      timeout: RUN_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
  }
}

const COPY = { recursive: true, verbatimSymlinks: true, preserveTimestamps: true } as const;

const BLANK: Image = {
  root: '',
  env: {},
  workdir: '/',
  user: 'root',
  volumes: [],
  entrypoint: [],
  cmd: [],
  healthcheck: [],
  stopSignal: 'SIGTERM',
};

/** A path of the image as a path of this machine. Returns other words unchanged. */
export function within({ root }: Pick<Image, 'root'>, word: string): string {
  return word.startsWith('/') ? join(root, word) : word;
}

/** The environment of the image, with its paths as paths of this machine. */
export function containerEnv(image: Image): Record<string, string> {
  return Object.fromEntries(Object.entries(image.env).map(([key, value]) => [key, within(image, value)]));
}
